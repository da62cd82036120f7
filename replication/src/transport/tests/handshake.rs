//! Who is let in, and what the others are told.

use std::sync::Arc;

use super::*;

#[test]
fn both_sides_know_who_the_other_is() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let (three, five) = (bind(&shard, &cluster.identity(3)), bind(&shard, &cluster.identity(5)));
        let (dialled, accepted) = link(&three, &five, 5).await;
        assert_eq!((dialled.broker(), accepted.broker()), (BrokerId(5), BrokerId(3)));
        // The other way too, beside the first.
        let (back, forth) = link(&five, &three, 3).await;
        assert_eq!((back.broker(), forth.broker()), (BrokerId(3), BrokerId(5)));
        assert!(back.same_as(&back.clone()) && !back.same_as(&accepted));
        three.close().await;
        five.close().await;
    });
}

/// Both ends of a handshake that fails, as sentences with DIALLER and ANSWERER for the addresses. Afterwards `answerer`
/// still takes `friend`.
async fn refusals(
    dialler: &Endpoint,
    answerer: &Endpoint,
    wanted: i32,
    friend: &Endpoint,
) -> (String, String) {
    let connect = dialler.connect(answerer.local_address(), BrokerId(wanted));
    let (dialled, accepted) = futures_lite::future::zip(connect, answerer.accept()).await;
    let accepted = match accepted.unwrap() {
        Ok(link) => link.closed().await,
        Err(e) => e,
    };
    let sentence = |error: LinkError| {
        let text = error.to_string().replace(&dialler.local_address().to_string(), "DIALLER");
        text.replace(&answerer.local_address().to_string(), "ANSWERER")
    };
    let _ = link(friend, answerer, 2).await;
    (sentence(dialled.unwrap_err()), sentence(accepted))
}

/// Of a dialler that broker 2 of cluster 1 does not take, or that does not take broker 2.
fn check(make: impl FnOnce(&Cluster) -> Identity + Send + 'static, dialled: &str, accepted: &str) {
    let expected = (dialled.to_owned(), accepted.to_owned());
    on_shard(async move |shard: Shard| {
        let cluster = Cluster::new(1);
        let (two, friend) = (bind(&shard, &cluster.identity(2)), bind(&shard, &cluster.identity(1)));
        let dialler = bind(&shard, &make(&cluster));
        assert_eq!(refusals(&dialler, &two, 2, &friend).await, expected);
        dialler.close().await;
        friend.close().await;
        two.close().await;
    });
}

#[test]
fn a_broker_of_another_cluster_is_refused() {
    check(
        |_| Cluster::new(9).identity(1),
        "refused by ANSWERER: it is no broker of this cluster",
        "refused DIALLER: it is no broker of this cluster",
    );
}

/// One that knows the cluster's id, but has its certificate from elsewhere.
#[test]
fn a_stranger_is_refused() {
    check(
        |_| Cluster::new(1).identity(1),
        "refused ANSWERER: its certificate was not issued by this cluster's CA",
        "refused by DIALLER: its certificate was not issued by this cluster's CA",
    );
}

/// One that would take anybody's certificate for the cluster's.
#[test]
fn a_stranger_that_trusts_us_is_refused() {
    let make = |cluster: &Cluster| {
        let (stranger, now) = (Cluster::new(1), timer::wall());
        let issued = stranger.authority.issue(BrokerId(1), now, DAY).unwrap();
        let both = [cluster.ca.as_bytes(), stranger.ca.as_bytes()].concat();
        Identity::from_pem(&both, issued.certificate.as_bytes(), issued.key.as_bytes(), now).unwrap()
    };
    check(
        make,
        "refused by ANSWERER: its certificate was not issued by this cluster's CA",
        "refused DIALLER: its certificate was not issued by this cluster's CA",
    );
}

/// The CA signed for both clusters, and the dialler says that it is of this one.
#[test]
fn a_certificate_of_another_cluster_is_refused_whatever_is_said() {
    let make = |cluster: &Cluster| {
        let (other, now) = (Cluster::new(9), timer::wall());
        let names = [names::broker_dns_name(BrokerId(1)), other.authority.cluster().dns_name()];
        let issued = cluster.authority.issue_named(&names, now, DAY).unwrap();
        let both = [other.ca.as_bytes(), cluster.ca.as_bytes()].concat();
        let mut identity =
            Identity::from_pem(&both, issued.certificate.as_bytes(), issued.key.as_bytes(), now).unwrap();
        let mut client = (*identity.client).clone();
        client.alpn_protocols = cluster.identity(1).client.alpn_protocols.clone();
        identity.client = Arc::new(client);
        identity.cluster = cluster.authority.cluster();
        identity
    };
    check(
        make,
        "ANSWERER ended the link: refused: it is a broker of cluster CQkJCQkJCQkJCQkJCQkJCQ",
        "refused DIALLER: it is a broker of cluster CQkJCQkJCQkJCQkJCQkJCQ",
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    let make = |cluster: &Cluster| {
        let then = Timestamp(timer::wall().0 - 2 * DAY.as_millis() as i64);
        let issued = cluster.authority.issue(BrokerId(1), then, DAY).unwrap();
        cluster.identity_of(&issued, then)
    };
    check(
        make,
        "refused by ANSWERER: its certificate has expired or is not valid yet, or a clock is wrong",
        "refused DIALLER: its certificate has expired or is not valid yet, or a clock is wrong",
    );
}

#[test]
fn another_broker_than_was_dialled_is_refused() {
    on_shard(async |shard: Shard| {
        let cluster = Cluster::new(1);
        let identities = [1, 2].map(|broker| cluster.identity(broker));
        let [one, two] = identities.map(|identity| bind(&shard, &identity));
        let expected = (
            "refused ANSWERER: it is broker 2, not broker 3".to_owned(),
            "DIALLER ended the link: refused: it is broker 2, not broker 3".to_owned(),
        );
        assert_eq!(refusals(&one, &two, 3, &one).await, expected);
    });
}

/// What would be refused by every other broker is refused at the start.
#[test]
fn an_identity_that_nobody_would_take_is_none() {
    let (cluster, now) = (Cluster::new(1), timer::wall());
    let refused = |ca: &str, issued: &Issued, key: &str, now| {
        let made = Identity::from_pem(ca.as_bytes(), issued.certificate.as_bytes(), key.as_bytes(), now);
        made.unwrap_err().to_string()
    };
    let good = cluster.authority.issue(BrokerId(1), now, DAY).unwrap();
    let later = Timestamp(now.0 + 2 * DAY.as_millis() as i64);
    let text = refused(&cluster.ca, &good, &good.key, later);
    assert!(text.starts_with("node.pem is not what another broker would take: "), "{text}");
    let text = refused(&Cluster::new(1).ca, &good, &good.key, now);
    assert!(text.starts_with("node.pem is not what another broker would take: "), "{text}");
    let text = refused(&Cluster::new(2).ca, &good, &good.key, now);
    assert!(
        text.starts_with("node.pem is of cluster AQEBAQEBAQEBAQEBAQEBAQ and ca.pem of cluster"),
        "{text}"
    );
    let other = cluster.authority.issue(BrokerId(1), now, DAY).unwrap();
    let text = refused(&cluster.ca, &good, &other.key, now);
    assert!(text.starts_with("node.key cannot be used with node.pem: "), "{text}");
    let text = refused(&cluster.ca, &good, "no key", now);
    assert!(text.starts_with("node.key holds no PEM that can be used: "), "{text}");
    let nameless = cluster.authority.issue_named(&["logs.example.org".to_owned()], now, DAY).unwrap();
    let text = refused(&cluster.ca, &nameless, &nameless.key, now);
    assert_eq!(text, "node.pem names no cluster (a DNS name cluster-HEX.tailrace)");
}

#[test]
fn a_ca_that_is_read_again_issues_as_before() {
    let now = timer::wall();
    let id = ClusterId::from_bytes([7; 16]);
    let (_, ca) = Authority::make(id, now, DAY).unwrap();
    let again = Authority::read(&ca.certificate, &ca.key).unwrap();
    assert_eq!(again.cluster(), id);
    let issued = again.issue(BrokerId(4), now, DAY).unwrap();
    let pem = [&ca.certificate, &issued.certificate, &issued.key].map(String::as_bytes);
    let identity = Identity::from_pem(pem[0], pem[1], pem[2], now).unwrap();
    assert_eq!((identity.broker(), identity.cluster_id()), (BrokerId(4), id.to_string().as_str()));
    assert!(Authority::read(&issued.certificate, "no key").is_err());
    assert!(Authority::read("no certificate", &ca.key).is_err());
}
