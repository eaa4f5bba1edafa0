"""A phenotype in the formats of the field."""
