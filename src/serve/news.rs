//! What the log has been told lately, so that what happens three times a second is said once a minute.

use std::{collections::BTreeMap, time::Duration};

/// Sentences that are remembered: whoever provokes more is told of more often.
const SENTENCES_MAX: usize = 100;
/// How long a sentence is no news.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct News {
    told: BTreeMap<String, Duration>,
}

impl News {
    /// Is this to be said? Then it is not for a while, by the shard's clock.
    pub fn is_news(&mut self, sentence: &str, now: Duration) -> bool {
        if self.told.get(sentence).is_some_and(|&told| now < told + QUIET) {
            return false;
        }
        if self.told.len() >= SENTENCES_MAX {
            self.told.retain(|_, told| now < *told + QUIET);
        }
        if self.told.len() >= SENTENCES_MAX {
            self.told.clear();
        }
        self.told.insert(sentence.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_said_once_a_minute() {
        let mut news = News::default();
        let at = Duration::from_secs;
        assert!(news.is_news("a", at(0)));
        assert!(!news.is_news("a", at(59)));
        assert!(news.is_news("b", at(59)));
        assert!(news.is_news("a", at(60)));
        assert!(!news.is_news("b", at(100)));
    }

    #[test]
    fn memory_of_it_has_an_end() {
        let mut news = News::default();
        for n in 0..10 * SENTENCES_MAX {
            assert!(news.is_news(&n.to_string(), Duration::ZERO));
            assert!(news.told.len() <= SENTENCES_MAX);
        }
    }
}
