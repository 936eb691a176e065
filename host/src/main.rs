//! The `quartermaster` binary.

fn main() {}
