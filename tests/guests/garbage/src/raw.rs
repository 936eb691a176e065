//! What safe Rust cannot say: text that is not UTF-8, and text that lies nowhere.

// The import behind `store.commit`, as the canonical ABI lowers it: two strings as address and length, and the address
// of 16 bytes for the answer.
#[link(wasm_import_module = "quartermaster:plugin/store@0.1.0")]
unsafe extern "C" {
    #[link_name = "commit"]
    fn raw_commit(
        name: *const u8,
        name_bytes: usize,
        args: *const u8,
        args_bytes: usize,
        answer: *mut [u32; 4],
    );
}

/// Commits a name and arguments that need not be text. The host must not return from this if they are not.
pub(crate) fn commit(name: &[u8], args: &[u8]) -> String {
    let mut answer = [0; 4];
    // SAFETY: the slices and the answer are valid for the whole call, and the answer has the size and alignment that
    // the ABI asks for.
    unsafe {
        raw_commit(
            name.as_ptr(),
            name.len(),
            args.as_ptr(),
            args.len(),
            &raw mut answer,
        )
    };
    "the host took it".to_owned()
}

/// Commits a name that lies past the end of any memory.
pub(crate) fn commit_from_outside_memory() -> String {
    let mut answer = [0; 4];
    let nowhere = std::ptr::without_provenance(usize::MAX - 16);
    // SAFETY: nothing here reads `nowhere`; the host checks it against the bounds of the memory.
    unsafe { raw_commit(nowhere, 8, nowhere, 8, &raw mut answer) };
    "the host took it".to_owned()
}

/// A text for a failure.
pub(crate) fn text_that_is_not_utf8() -> String {
    // SAFETY: it is only copied to where the host reads it, and never looked at as text.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) }
}
