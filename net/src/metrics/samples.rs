//! What shards say at a scrape: values that cross shards, and are put together by adding.

use std::sync::Arc;

use model::figures::Distribution;
use smallvec::SmallVec;

use super::families::Family;

/// A label's value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Label {
    Static(&'static str),
    Text(Arc<str>),
    Number(i32),
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<&Arc<str>> for Label {
    fn from(text: &Arc<str>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i32> for Label {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

pub(crate) type Labels = SmallVec<[Label; 3]>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Whole(u64),
    Spread(Distribution),
}

impl Value {
    fn add(&mut self, more: &Self) {
        match (self, more) {
            (Self::Whole(mine), Self::Whole(more)) => *mine = mine.wrapping_add(*more),
            (Self::Spread(mine), Self::Spread(more)) => mine.add(more),
            _ => unreachable!("a family is of one kind"),
        }
    }
}

/// By family, in the order in which they were said.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<Vec<(Labels, Value)>>);

impl Default for Samples {
    fn default() -> Self {
        Self(vec![vec![]; Family::ALL.len()])
    }
}

impl Samples {
    pub(crate) fn whole<const N: usize>(&mut self, family: Family, labels: [Label; N], value: u64) {
        self.push(family, labels.into_iter().collect(), Value::Whole(value));
    }

    /// For what there is one of.
    pub(crate) fn one(&mut self, family: Family, value: u64) {
        self.whole(family, [], value);
    }

    pub(crate) fn spread(
        &mut self,
        family: Family,
        labels: impl IntoIterator<Item = Label>,
        value: Distribution,
    ) {
        self.push(family, labels.into_iter().collect(), Value::Spread(value));
    }

    fn push(&mut self, family: Family, labels: Labels, value: Value) {
        assert!(labels.len() <= family.facts().labels.len(), "{family:?} {labels:?}");
        self.0[family as usize].push((labels, value));
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.iter_mut().zip(more.0).for_each(|(mine, more)| mine.extend(more));
    }

    /// The series of one family in order, each once.
    pub(crate) fn take(&mut self, family: Family) -> Vec<(Labels, Value)> {
        let mut series = std::mem::take(&mut self.0[family as usize]);
        series.sort_by(|a, b| a.0.cmp(&b.0));
        series.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.add(&later.1);
            }
            same
        });
        series
    }
}

/// One offset that a group has committed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Committed {
    pub(crate) group: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// All that one shard says.
#[derive(Default, Debug)]
pub struct Snapshot {
    pub(crate) samples: Samples,
    /// The first ones in order, and how many there are besides.
    pub(crate) committed: Vec<Committed>,
    pub(crate) committed_left_out: usize,
}

#[cfg(test)]
mod tests {
    use model::figures::Histogram;

    use super::*;

    #[test]
    fn what_shards_say_of_one_series_is_added() {
        let histogram = Histogram::new(&[10]);
        histogram.observe(5);
        let of = |partition: i32, connections: u64| {
            let mut samples = Samples::default();
            samples.one(Family::Connections, connections);
            samples.whole(Family::LogSize, ["t".into(), partition.into()], 100);
            samples.spread(Family::CommitBytes, [], histogram.distribution());
            samples
        };
        let mut all = of(10, 3);
        all.extend(of(9, 4));
        assert_eq!(all.take(Family::Connections), [(Labels::new(), Value::Whole(7))]);
        let partitions: Vec<_> =
            all.take(Family::LogSize).into_iter().map(|(labels, _)| labels[1].clone()).collect();
        assert_eq!(partitions, [Label::Number(9), Label::Number(10)], "numbers are in the order of numbers");
        let [(_, Value::Spread(spread))] = &all.take(Family::CommitBytes)[..] else { panic!("one series") };
        assert_eq!(spread.count(), 2);
        assert!(all.take(Family::Connections).is_empty(), "taken once");
    }
}
