use model::figures::Histogram;
use proptest::prelude::*;

use super::*;
use crate::metrics::{families::Family, samples::Samples};

#[path = "../../../../tests/broker/exposition.rs"]
mod exposition;

use exposition::Exposition;

fn written(samples: &mut Samples) -> String {
    let mut text = Text::default();
    for &family in Family::ALL {
        let series = samples.take(family);
        text.head(family.facts());
        series.iter().for_each(|(labels, value)| text.series(family.facts(), labels, value));
    }
    String::from_utf8(text.into_bytes()).unwrap()
}

#[test]
fn a_page_reads_as_it_should() {
    let mut samples = Samples::default();
    samples.one(Family::Connections, 3);
    samples.whole(Family::LogEnd, ["a.b".into(), 7.into()], u64::MAX);
    let histogram = Histogram::new(&[1_500_000_000, 2_000_000_000]);
    [1, 1_500_000_001, 99_000_000_000].into_iter().for_each(|nanos| histogram.observe(nanos));
    samples.spread(Family::TotalTime, ["Fetch".into()], histogram.distribution());
    let text = written(&mut samples);
    for expected in [
        "# TYPE kafka_server_socketservermetrics_connection_count gauge\n\
         kafka_server_socketservermetrics_connection_count 3\n",
        "kafka_log_log_logendoffset{topic=\"a.b\",partition=\"7\"} 18446744073709551615\n",
        "# TYPE kafka_network_requestmetrics_totaltime_seconds histogram\n\
         kafka_network_requestmetrics_totaltime_seconds_bucket{request=\"Fetch\",le=\"1.5\"} 1\n\
         kafka_network_requestmetrics_totaltime_seconds_bucket{request=\"Fetch\",le=\"2\"} 2\n\
         kafka_network_requestmetrics_totaltime_seconds_bucket{request=\"Fetch\",le=\"+Inf\"} 3\n\
         kafka_network_requestmetrics_totaltime_seconds_sum{request=\"Fetch\"} 100.500000002\n\
         kafka_network_requestmetrics_totaltime_seconds_count{request=\"Fetch\"} 3\n",
    ] {
        assert!(text.contains(expected), "{expected}\nis not in\n{text}");
    }
    let read = Exposition::parse(&text).unwrap();
    assert_eq!(read.families.len(), Family::ALL.len());
    for family in Family::ALL {
        assert_eq!(read.helps[family.facts().name], family.facts().help);
    }
}

#[test]
fn the_oracle_sees_what_is_wrong() {
    fn check(text: &str, why: &str) {
        let error = Exposition::parse(text).expect_err(text);
        assert!(error.contains(why), "{error}");
    }
    let head = "# HELP a b\n# TYPE a counter\n";
    check(&format!("{head}a 1"), "no end");
    check("a 1\n", "before its TYPE");
    check(&format!("{head}a 1\na 2\n"), "second time");
    check(&format!("{head}b 1\n"), "another family");
    check(&format!("{head}# HELP c d\n# TYPE c gauge\n{head}"), "not in one piece");
    check(&format!("{head}a{{x=\"1\",x=\"2\"}} 1\n"), "twice");
    check(&format!("{head}a{{x=\"\\q\"}} 1\n"), "escaped");
    check(&format!("{head}a{{x=\"1}} 1\n"), "without an end");
    check(&format!("{head}a one\n"), "no number");
    check("# HELP a b\n", "no TYPE");
    let head = "# HELP h b\n# TYPE h histogram\n";
    check(
        &format!("{head}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"),
        "cumulative",
    );
    check(&format!("{head}h_bucket{{le=\"1\"}} 2\nh_sum 1\nh_count 2\n"), "+Inf");
    check(&format!("{head}h_bucket{{le=\"+Inf\"}} 2\nh_sum 1\nh_count 1\n"), "_count");
    check(&format!("{head}h_bucket{{le=\"+Inf\"}} 2\nh_count 2\n"), "not of the same series");
    check(&format!("{head}h 1\n"), "another family");
}

proptest! {
    /// Whatever a group is called, its label is that name and nothing around it is torn.
    #[test]
    fn any_text_survives_as_a_label(groups in prop::collection::btree_set(any::<String>(), 1..8)) {
        let mut samples = Samples::default();
        let groups: Vec<std::sync::Arc<str>> = groups.into_iter().map(Into::into).collect();
        for (lag, group) in (0u64..).zip(&groups) {
            samples.whole(Family::GroupLag, [group.into(), "\\\"\n".into(), (-1).into()], lag);
        }
        let read = Exposition::parse(&written(&mut samples));
        let read = read.map_err(TestCaseError::fail)?;
        for (lag, group) in (0u32..).zip(&groups) {
            let labels = [("group", &**group), ("topic", "\\\"\n"), ("partition", "-1")];
            prop_assert_eq!(read.value(Family::GroupLag.facts().name, &labels), Some(f64::from(lag)));
        }
    }

    #[test]
    fn any_observations_make_a_sound_histogram(values in prop::collection::vec(any::<u64>(), 0..50)) {
        let histogram = Histogram::new(model::figures::LATENCY_NS);
        values.iter().for_each(|&value| histogram.observe(value >> 20));
        let mut samples = Samples::default();
        samples.spread(Family::RemoteTime, ["Produce".into()], histogram.distribution());
        let read = Exposition::parse(&written(&mut samples)).map_err(TestCaseError::fail)?;
        let name = format!("{}_count", Family::RemoteTime.facts().name);
        prop_assert_eq!(read.value(&name, &[("request", "Produce")]), Some(values.len() as f64));
    }
}
