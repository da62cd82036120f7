//! Several futures of one kind at once, within a bound: a checkpoint writes many segments without waiting for each.

use std::{future::Future, pin::Pin, task::Poll};

/// Runs `work` for every item, at most `bound` at a time, and returns the results in the order of the items.
pub(crate) async fn for_each_bounded<T, R, Fut>(
    items: Vec<T>,
    bound: usize,
    work: impl Fn(T) -> Fut,
) -> Vec<R>
where
    Fut: Future<Output = R>,
{
    assert!(bound > 0);
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut waiting = items.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<Fut>>)> = Vec::with_capacity(bound);
    std::future::poll_fn(|cx| {
        loop {
            while running.len() < bound
                && let Some((i, item)) = waiting.next()
            {
                running.push((i, Box::pin(work(item))));
            }
            let before = running.len();
            running.retain_mut(|(i, future)| match future.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    results[*i] = Some(result);
                    false
                }
                Poll::Pending => true,
            });
            if running.is_empty() && waiting.len() == 0 {
                return Poll::Ready(());
            }
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    results.into_iter().map(|r| r.expect("every future ended")).collect()
}

/// Both at once; both results.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(r) = a.as_mut().poll(cx)
        {
            first = Some(r);
        }
        if second.is_none()
            && let Poll::Ready(r) = b.as_mut().poll(cx)
        {
            second = Some(r);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.expect("ended"), second.expect("ended"))
}
