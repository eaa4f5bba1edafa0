"""Model registry: archive validation, golden-plate acceptance and model stores."""
