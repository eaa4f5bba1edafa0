"""A package, so that pytest calls these modules tests.*: as kubernetes.tests.* they would hide the client's package."""
