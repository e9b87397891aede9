"""The Align widget: modalities of a case laid on one grid."""
