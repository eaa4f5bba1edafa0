"""Pixels and millimetres: image decoding, geometry, plate detection, calibration, ridge filter."""
