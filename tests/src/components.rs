//! Components that are hard to compile, written byte by byte: no tool is needed, and nothing in them is wrong.

/// Sections of a core module.
const TYPE: u8 = 1;
const FUNCTION: u8 = 3;
const CODE: u8 = 10;

/// A component around a core module with this many functions, each of which does a little.
pub fn with_functions(count: u32) -> Vec<u8> {
    // No locals; i32.const 1, i32.const 2, i32.add, drop, end.
    let body = [0x00, 0x41, 0x01, 0x41, 0x02, 0x6a, 0x1a, 0x0b];
    component(&module(count, &body))
}

/// A component around a core module with one function of so many blocks in each other.
pub fn with_nested_blocks(depth: usize) -> Vec<u8> {
    let mut body = vec![0x00];
    // block with an empty type, and its end.
    body.extend([0x02, 0x40].repeat(depth));
    body.extend([0x0b].repeat(depth + 1));
    component(&module(1, &body))
}

/// A core module of `count` functions without parameters and results.
fn module(count: u32, body: &[u8]) -> Vec<u8> {
    let mut types = number(1);
    types.extend([0x60, 0x00, 0x00]);
    let mut functions = number(count);
    functions.resize(functions.len() + count as usize, 0x00);
    let mut code = number(count);
    let mut sized = number(length(body));
    sized.extend(body);
    code.extend(sized.repeat(count as usize));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in [(TYPE, types), (FUNCTION, functions), (CODE, code)] {
        section(&mut module, id, &content);
    }
    module
}

fn component(module: &[u8]) -> Vec<u8> {
    /// A core module, among the sections of a component.
    const CORE_MODULE: u8 = 1;
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, CORE_MODULE, module);
    component
}

fn section(target: &mut Vec<u8>, id: u8, content: &[u8]) {
    target.push(id);
    target.extend(number(length(content)));
    target.extend(content);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("what is made here is small")
}

/// LEB128.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
