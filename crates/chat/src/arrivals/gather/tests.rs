use futures_util::future::join_all;
use tokio::time::{advance, sleep, timeout};

use super::*;

type Reads = Arc<Mutex<Vec<Vec<u32>>>>;

/// Answers each number with itself; some are special.
struct Numbers {
    reads: Reads,
    /// How many rows an answer has.
    rows: fn(u32) -> usize,
    /// More rows than this are too much for it.
    can: usize,
}

/// Fails, and with it whoever it is read with.
const BAD: u32 = 1_000_001;
/// The store is away.
const AWAY: u32 = 1_000_002;
/// A defect.
const PANIC: u32 = 1_000_003;
/// Takes ten seconds.
const SLOW: u32 = 1_000_004;
/// Nobody's answer.
const LESS: u32 = 1_000_005;

const READ: Duration = Duration::from_millis(5);

impl Kind for Numbers {
    type Question = u32;
    type Answer = (u32, usize);

    fn weight((_, rows): &(u32, usize)) -> usize {
        *rows
    }

    fn read(&self, questions: Vec<u32>) -> BoxFuture<'static, store::Result<Vec<(u32, usize)>>> {
        self.reads.lock().push(questions.clone());
        let (rows, can) = (self.rows, self.can);
        async move {
            sleep(if questions.contains(&SLOW) { Duration::from_secs(10) } else { READ }).await;
            assert!(!questions.contains(&PANIC), "a defect");
            if questions.contains(&BAD) {
                return Err(StoreError::Internal("a row does not decode".into()));
            }
            let sum: usize = questions.iter().map(|question| rows(*question)).sum();
            if questions.contains(&AWAY) || sum > can {
                return Err(StoreError::Unavailable("away, or too much".into()));
            }
            let answered = questions.into_iter().filter(|question| *question != LESS);
            Ok(answered.map(|question| (question, rows(question))).collect())
        }
        .boxed()
    }
}

fn counts() -> Counts {
    let counter = || IntCounter::new("a", "b").unwrap();
    Counts { reads: counter(), questions: counter() }
}

fn gather_of(rows: fn(u32) -> usize, can: usize) -> (Arc<Gather<Numbers>>, Reads) {
    let reads = Reads::default();
    let kind = Numbers { reads: Arc::clone(&reads), rows, can };
    (Arc::new(Gather::new(kind, &Env::system(), counts(), &Arc::new(Semaphore::new(4)))), reads)
}

fn gather() -> (Arc<Gather<Numbers>>, Reads) {
    gather_of(|_| 1, usize::MAX)
}

#[tokio::test(start_paused = true)]
async fn who_comes_alone_is_answered_at_once_and_again_after_a_moment() {
    let (gather, reads) = gather();
    for n in 0..10 {
        let asked = Instant::now();
        assert_eq!(gather.ask(n).await.unwrap().0, n);
        assert!(asked.elapsed() <= READ + EACH, "{:?}", asked.elapsed());
    }
    assert_eq!(reads.lock().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_within_seconds_are_a_few_dozen_reads_and_everybody_gets_their_own_answer() {
    let (gather, reads) = gather();
    let mut asking = Vec::new();
    for n in 0..10_000 {
        let gather = Arc::clone(&gather);
        asking.push(tokio::spawn(async move {
            let asked = Instant::now();
            assert_eq!(gather.ask(n).await.unwrap().0, n);
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
async fn heavy_answers_are_read_a_few_at_a_time_and_left_overs_do_not_wait() {
    const HEAVY: usize = ROWS / 10;
    let (gather, reads) = gather_of(|_| HEAVY, usize::MAX);
    gather.ask(0).await.unwrap();
    sleep(PAUSE_MAX).await;
    reads.lock().clear();
    let asked = Instant::now();
    // More batches than tasks.
    join_all((0..75).map(|n| gather.ask(n))).await;
    assert_eq!(reads.lock().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 10, 10, 10, 10, 5]);
    assert!(asked.elapsed() < 3 * (READ + PAUSE_MAX), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_too_much_is_followed_by_smaller_ones() {
    let (gather, reads) = gather_of(|_| 1, 100);
    // As clients do: who failed comes back.
    let mut waiting: Vec<u32> = (0..500).collect();
    for _ in 0..20 {
        let answers = join_all(waiting.iter().map(|n| gather.ask(*n))).await;
        waiting = waiting.into_iter().zip(answers).filter(|(_, answer)| answer.is_err()).map(|(n, _)| n).collect();
    }
    assert!(waiting.is_empty(), "{} were never answered in {} reads", waiting.len(), reads.lock().len());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_fails_alone_and_an_outage_is_everybodys() {
    let (gather, reads) = gather();
    let answers = join_all((0..100).map(|n| gather.ask(if n == 50 { BAD } else { n }))).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok((answer, _)) => assert_eq!(*answer as usize, n),
            Err(error) => assert_eq!((n, error.code), (50, ErrorCode::Internal)),
        }
    }
    assert!(answers[50].is_err() && reads.lock().len() < 20, "it was looked for by halves: {}", reads.lock().len());
    assert_eq!(gather.ask(BAD).await.unwrap_err().code, ErrorCode::Internal);
    reads.lock().clear();
    sleep(PAUSE_MAX).await;
    for answer in join_all([1, AWAY, 2].map(|n| gather.ask(n))).await {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Unavailable);
    }
    assert_eq!(reads.lock().len(), 1, "nobody asks a store that is away again");
}

#[tokio::test(start_paused = true)]
async fn it_outlives_reads_that_panic_and_nobody_gets_an_answer_of_another() {
    let (gather, _) = gather();
    for _ in 0..2 * AT_ONCE {
        assert_eq!(gather.ask(PANIC).await.unwrap_err().code, ErrorCode::Internal);
    }
    sleep(PAUSE_MAX).await;
    for answer in join_all([LESS, 1, 2].map(|n| gather.ask(n))).await {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Internal);
    }
    assert_eq!(gather.ask(7).await.unwrap().0, 7);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_is_not_asked_for_and_a_slow_read_holds_up_nobody() {
    let (gather, reads) = gather();
    let slow = timeout(Duration::from_secs(1), gather.ask(SLOW));
    let quick = async {
        while reads.lock().is_empty() {
            sleep(EACH).await;
        }
        let asked = Instant::now();
        gather.ask(1).await.unwrap();
        asked.elapsed()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(slow.is_err() && quick <= READ + 2 * EACH, "{quick:?}");
    // Put, and given up before it was read.
    gather.inner.state.lock().not_before = Instant::now() + PAUSE_MAX;
    assert!(timeout(EACH, gather.ask(2)).await.is_err());
    assert_eq!(gather.ask(3).await.unwrap().0, 3);
    assert!(!reads.lock().iter().flatten().any(|question| *question == 2));
}
