"""Files of a pod's service account."""

from pathlib import Path

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Folder of the namespace and the token. Every pod that may call the Kubernetes API has it."""
