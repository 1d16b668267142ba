use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_util::future::join_all;
use tokio::time::{advance, sleep, timeout};

use super::*;

type Reads = Arc<Mutex<Vec<Vec<u32>>>>;

/// Answers each number with itself after `time`; [`BAD`] fails alone and with whomever it is, [`AWAY`] means that the store
/// is, [`PANIC`] is a defect.
fn gather(time: Duration, weight_max: usize) -> (Arc<Gather<u32, u32>>, Reads) {
    let reads = Reads::default();
    let counts = || IntCounter::new("a", "b").unwrap();
    let told = Arc::clone(&reads);
    let read = move |questions: Vec<u32>| {
        told.lock().push(questions.clone());
        async move {
            sleep(time).await;
            assert!(!questions.contains(&PANIC), "a defect");
            if questions.contains(&BAD) {
                return Err(StoreError::Internal("a row does not decode".into()));
            }
            if questions.contains(&AWAY) {
                return Err(StoreError::Unavailable("away".into()));
            }
            Ok(questions)
        }
        .boxed()
    };
    let counts = Counts { reads: counts(), questions: counts() };
    (Arc::new(Gather::new(&Env::system(), counts, (|_| 1, weight_max), read)), reads)
}

const BAD: u32 = 1_000_001;
const AWAY: u32 = 1_000_002;
const PANIC: u32 = 1_000_003;

const READ: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn who_comes_alone_is_answered_at_once_and_again_after_a_moment() {
    let (gather, reads) = gather(READ, 1_000);
    for n in 0..10 {
        let asked = Instant::now();
        assert_eq!(gather.ask(n).await.unwrap(), n);
        assert!(asked.elapsed() <= READ + EACH, "{:?}", asked.elapsed());
    }
    assert_eq!(reads.lock().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_within_seconds_are_a_few_dozen_reads_and_everybody_gets_their_own_answer() {
    let (gather, reads) = gather(READ, 1_000);
    let mut asking = Vec::new();
    for n in 0..10_000 {
        let gather = Arc::clone(&gather);
        asking.push(tokio::spawn(async move {
            let asked = Instant::now();
            assert_eq!(gather.ask(n).await.unwrap(), n);
            asked.elapsed()
        }));
        if n % 2 == 0 {
            advance(Duration::from_millis(1)).await;
        }
    }
    let slowest = join_all(asking).await.into_iter().map(|waited| waited.unwrap()).max().unwrap();
    assert!(slowest <= 2 * PAUSE_MAX, "{slowest:?}");
    let reads = reads.lock();
    assert!((10..100).contains(&reads.len()), "{}", reads.len());
    assert_eq!(reads.iter().map(Vec::len).sum::<usize>(), 10_000);
    assert!(reads.iter().all(|questions| questions.len() <= MOST));
}

#[tokio::test(start_paused = true)]
async fn what_weighs_too_much_together_is_read_apart_and_at_once() {
    let (gather, reads) = gather(READ, 10);
    let asked = Instant::now();
    join_all((0..35).map(|n| gather.ask(n))).await;
    assert_eq!(reads.lock().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 5]);
    assert!(asked.elapsed() < 2 * READ, "beside each other: {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_fails_alone_and_an_outage_is_everybodys() {
    let (gather, reads) = gather(READ, 1_000);
    let answers = join_all([1, BAD, 2].map(|n| gather.ask(n))).await;
    assert_eq!(answers[0].as_ref().unwrap(), &1);
    assert_eq!(answers[1].as_ref().unwrap_err().code, ErrorCode::Internal);
    assert_eq!(answers[2].as_ref().unwrap(), &2);
    assert_eq!(gather.ask(BAD).await.unwrap_err().code, ErrorCode::Internal);
    reads.lock().clear();
    sleep(PAUSE_MAX).await;
    for answer in join_all([1, AWAY, 2].map(|n| gather.ask(n))).await {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Unavailable);
    }
    assert_eq!(reads.lock().len(), 1, "nobody asks a store that is away again");
}

#[tokio::test(start_paused = true)]
async fn it_outlives_reads_that_panic_or_never_end() {
    let (gather, _) = gather(READ, 1_000);
    for _ in 0..2 * AT_ONCE {
        assert_eq!(gather.ask(PANIC).await.unwrap_err().code, ErrorCode::Internal);
    }
    assert_eq!(gather.ask(7).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_is_not_asked_for_and_a_slow_read_holds_up_nobody() {
    static SLOW: AtomicUsize = AtomicUsize::new(0);
    let counts = || IntCounter::new("a", "b").unwrap();
    let read = |questions: Vec<u32>| {
        async move {
            if questions == [0] {
                SLOW.fetch_add(1, SeqCst);
                sleep(Duration::from_secs(10)).await;
            }
            Ok(questions)
        }
        .boxed()
    };
    let counts = Counts { reads: counts(), questions: counts() };
    let gather = Gather::new(&Env::system(), counts.clone(), (|_| 1, 10), read);
    let slow = timeout(Duration::from_secs(1), gather.ask(0));
    let quick = async {
        while SLOW.load(SeqCst) == 0 {
            sleep(EACH).await;
        }
        let asked = Instant::now();
        gather.ask(1).await.unwrap();
        asked.elapsed()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(slow.is_err() && quick <= 2 * EACH, "{quick:?}");
    // Put, and given up before it was read.
    gather.inner.state.lock().not_before = Instant::now() + PAUSE_MAX;
    assert!(timeout(EACH, gather.ask(2)).await.is_err());
    let before = counts.questions.get();
    assert_eq!(gather.ask(3).await.unwrap(), 3);
    assert_eq!(counts.questions.get(), before + 1);
}
