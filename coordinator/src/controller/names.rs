//! What topics may be called, and the names that mean something to the broker.

use model::ErrorCode;

use super::Refusal;

/// The log of the cluster itself: looks like a topic to tools, and is none.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";

/// With a partition's number and a suffix behind it, a name must still fit a folder.
const NAME_BYTES_MAX: usize = 249;

/// Topics that the broker keeps for itself; clients see them marked.
pub fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | SHARE_STATE_TOPIC)
}

/// May a topic be called so?
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let why = if name.is_empty() {
        "A topic's name must not be empty.".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!("A topic's name has at most {NAME_BYTES_MAX} characters, this one has {}.", name.len())
    } else if name == "." || name == ".." {
        format!("A topic cannot be called '{name}': its folder could not.")
    } else if !name.chars().all(plain) {
        format!("The topic name '{name}' has characters other than letters, digits, '.', '_' and '-'.")
    } else {
        return Ok(());
    };
    Err(Refusal::new(ErrorCode::InvalidTopicException, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_folder_and_a_metric_can_be_called() {
        let longest = "x".repeat(249);
        for good in ["a", "A-1_b.c", "...", "__consumer_offsets", "-", longest.as_str()] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(250);
        for bad in ["", ".", "..", "a b", "a/b", "\u{e4}", "a\0", too_long.as_str()] {
            assert_eq!(check_name(bad).unwrap_err().code, ErrorCode::InvalidTopicException, "{bad}");
        }
    }
}
