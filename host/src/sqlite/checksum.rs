//! The checksum that stands in every row. SQLite notices a broken page structure, not a flipped bit in a value; a
//! wrong cursor or a wrong draft would be acted upon.

/// A CRC-32 over a row: every flip of up to 32 neighbouring bits is noticed. Each field goes in with its length, so
/// that no byte can wander from one field to the next.
#[must_use = "a checksum is of use only in its row"]
pub struct Checksum(crc32fast::Hasher);

impl Checksum {
    /// Starts with the table's name, so that no row passes for one of another table.
    pub fn of(table: &str) -> Self {
        Self(crc32fast::Hasher::new()).text(table)
    }

    /// Takes in bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    /// Takes in text.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Takes in text, or that there is none.
    pub fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    /// Takes in a number.
    pub fn number(mut self, number: u64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// As it stands in the row.
    pub fn get(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let sums = [
            Checksum::of("t").text("ab").text("c").get(),
            Checksum::of("t").text("a").text("bc").get(),
            Checksum::of("t").text("abc").get(),
            Checksum::of("t").optional(Some("abc")).get(),
            Checksum::of("t").optional(None).text("abc").get(),
            Checksum::of("u").text("abc").get(),
        ];
        for (n, sum) in sums.iter().enumerate() {
            assert!(!sums[..n].contains(sum), "row {n} has the sum of another");
        }
    }
}
