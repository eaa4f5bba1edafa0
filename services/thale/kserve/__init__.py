"""Access to the Kubernetes API: InferenceServices, the Lease of leader election, and the checkpoint ConfigMap."""
