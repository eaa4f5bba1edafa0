"""Access to the Kubernetes API: InferenceServices, pods of predictors, KServe's configuration, Lease and checkpoint."""
