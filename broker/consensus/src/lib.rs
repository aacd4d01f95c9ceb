//! Replicated and single-server logs behind one handle; the only crate that names openraft.
