"""Statistics of model output, shared by the facade, the release controller and offline evaluation."""
