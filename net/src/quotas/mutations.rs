//! `controller_mutation_rate` (KIP-599): partitions created and deleted. Versions that can say so refuse what comes while
//! the client is over its quota; older ones are served, and the connection waits.

use std::{rc::Rc, time::Duration};

use coordinator::{
    Refusal,
    quotas::{QuotaKind, Rule},
};
use engine::Disk;
use model::ErrorCode;

use super::{ClientLimits, charge, charged};
use crate::{handlers::Step, shard::Shard};

/// Which of the changes of a request are let through, in order.
pub(crate) struct Granted {
    each: Vec<bool>,
    wait: Duration,
}

/// `partitions` for each change that the request asks for. `strict` where the version has a code for refusing.
pub(crate) async fn mutate<D: Disk>(
    shard: &Rc<Shard<D>>,
    limits: Option<&ClientLimits>,
    strict: bool,
    partitions: &[usize],
) -> Granted {
    let mut granted = Granted { each: vec![true; partitions.len()], wait: Duration::ZERO };
    let Some(limit) = limits.and_then(|limits| limits.of(QuotaKind::ControllerMutation)) else {
        return granted;
    };
    let rule = if strict { Rule::Refuse } else { Rule::Count };
    let asked: Vec<_> = partitions.iter().map(|&n| charge(shard, limit, n as f64, rule)).collect();
    for (each, asked) in granted.each.iter_mut().zip(asked) {
        let charged = charged(asked).await;
        *each = charged.granted;
        granted.wait = granted.wait.max(charged.wait);
    }
    granted
}

impl Granted {
    pub(crate) fn only<T>(&self, asked: Vec<T>) -> Vec<T> {
        asked.into_iter().zip(&self.each).filter(|(_, granted)| **granted).map(|(asked, _)| asked).collect()
    }

    /// Puts the controller's results among the refusals.
    pub(crate) fn merge<T>(&self, decided: Vec<Result<T, Refusal>>) -> Vec<Result<T, Refusal>> {
        let mut decided = decided.into_iter();
        let refusal = |code, sentence| Err(Refusal::new(code, sentence));
        let each = self.each.iter().map(|granted| match granted {
            true => decided.next().unwrap_or_else(|| {
                refusal(ErrorCode::UnknownServerError, "The controller gave no answer for this topic.")
            }),
            false => refusal(
                ErrorCode::ThrottlingQuotaExceeded,
                "The throttling quota has been exceeded; try again after the throttle time.",
            ),
        });
        each.collect()
    }

    pub(crate) fn tell(&self, mut step: Step) -> Step {
        if let Step::Answer(response) = &mut step {
            response.set_throttle(self.wait);
        }
        step
    }
}
