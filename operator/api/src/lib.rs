//! The resources of weir.dev/v1alpha1.
