//! Access tokens, kept while they are good and got once for everybody who needs one.
//!
//! Calls that need the same token at the same time wait for one request; when it fails, all that waited for it fail with it,
//! and the next call asks again. A token is replaced before it expires, and when an endpoint refuses it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use testfleet_model::result::ErrorClass;
use tokio::time::Instant;

use crate::call::Failure;
use crate::redaction::Redactor;

/// How long before its end a token is replaced: a tenth of its life, at most this.
const MARGIN: Duration = Duration::from_secs(60);
/// Tokens that are kept.
const MOST: usize = 256;

/// Tells one token from another: a digest of everything it was asked for with.
pub(crate) type Key = [u8; 32];

/// The access tokens of a process. Share it by cloning: endpoints that ask for a token with the same words then share it.
#[derive(Clone, Default)]
pub struct Tokens {
    slots: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    /// Held while a token is being got.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// What became of the last request, and when, if it failed.
    failed: Option<(Instant, NoToken)>,
}

/// A token.
#[derive(Debug)]
pub(crate) struct Token {
    value: SecretString,
    /// When to get another one; `None`: when it is refused.
    good_until: Option<Instant>,
    /// Keeps it out of what is stored and shown.
    redactor: Arc<Redactor>,
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) struct NoToken {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    /// Whether another attempt may have one.
    pub(crate) passing: bool,
    /// What the token endpoint asked to wait.
    pub(crate) wait: Option<Duration>,
}

impl Token {
    /// A token that was asked for at `asked` and lives so long from then on.
    pub(crate) fn new(value: String, asked: Instant, life: Option<Duration>) -> Self {
        let good_until = life.and_then(|life| asked.checked_add(life - MARGIN.min(life / 10)));
        Self {
            redactor: Arc::new(Redactor::new([value.as_str()])),
            value: SecretString::from(value),
            good_until,
        }
    }

    pub(crate) fn value(&self) -> &str {
        self.value.expose_secret()
    }

    pub(crate) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    fn is_good(&self) -> bool {
        self.good_until.is_none_or(|until| Instant::now() < until)
    }
}

impl From<NoToken> for Failure {
    fn from(none: NoToken) -> Self {
        Self {
            wait: none.wait,
            retried_as: none.passing.then_some(ErrorClass::Connect),
            ..Self::new(none.class, none.message)
        }
    }
}

impl Tokens {
    /// The token of that key: the one that is kept, unless it is about to expire or is the refused one, else what `get` gets.
    pub(crate) async fn token<F>(
        &self,
        key: Key,
        refused: Option<&Arc<Token>>,
        get: impl FnOnce() -> F,
    ) -> Result<Arc<Token>, NoToken>
    where
        F: Future<Output = Result<Token, NoToken>>,
    {
        let asked = Instant::now();
        let slot = self.slot(key);
        let mut state = slot.state.lock().await;
        let is_refused = |token: &Arc<Token>| refused.is_some_and(|refused| Arc::ptr_eq(refused, token));
        if let Some(token) = state
            .token
            .as_ref()
            .filter(|token| token.is_good() && !is_refused(token))
        {
            return Ok(Arc::clone(token));
        }
        if let Some((_, failed)) = state.failed.as_ref().filter(|(when, _)| *when > asked) {
            return Err(failed.clone());
        }
        match get().await {
            Ok(token) => {
                let token = Arc::new(token);
                state.token = Some(Arc::clone(&token));
                state.failed = None;
                Ok(token)
            }
            Err(failed) => {
                state.failed = Some((Instant::now(), failed.clone()));
                Err(failed)
            }
        }
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            // Those in use are held by somebody else, too.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const KEY: Key = [7; 32];

    fn none(message: &str) -> NoToken {
        NoToken {
            class: ErrorClass::Token,
            message: message.to_owned(),
            passing: true,
            wait: None,
        }
    }

    /// Gets tokens `1`, `2`, … that live so long.
    async fn next(tokens: &Tokens, got: &AtomicUsize, life: Option<u64>, refused: Option<&Arc<Token>>) -> Arc<Token> {
        let get = || async {
            let number = got.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            Ok(Token::new(
                number.to_string(),
                Instant::now(),
                life.map(Duration::from_secs),
            ))
        };
        tokens.token(KEY, refused, get).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_replaced_before_its_end() {
        for (life, good) in [(3_600, 3_540), (100, 90), (10, 9)] {
            let (tokens, got) = (Tokens::default(), AtomicUsize::new(0));
            assert_eq!(next(&tokens, &got, Some(life), None).await.value(), "1");
            tokio::time::advance(Duration::from_secs(good) - Duration::from_millis(1)).await;
            assert_eq!(next(&tokens, &got, Some(life), None).await.value(), "1", "{life}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(next(&tokens, &got, Some(life), None).await.value(), "2", "{life}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_without_an_end_is_kept_until_it_is_refused() {
        let (tokens, got) = (Tokens::default(), AtomicUsize::new(0));
        let first = next(&tokens, &got, None, None).await;
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert_eq!(next(&tokens, &got, None, None).await.value(), "1");
        // Two calls were refused with it; the second finds that it has been replaced.
        assert_eq!(next(&tokens, &got, None, Some(&first)).await.value(), "2");
        assert_eq!(next(&tokens, &got, None, Some(&first)).await.value(), "2");
    }

    #[tokio::test]
    async fn a_failure_is_that_of_all_who_waited_for_it_and_of_nobody_after() {
        let (tokens, tries) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (tokens, tries, gate) = (tokens.clone(), Arc::clone(&tries), Arc::clone(&gate));
                let begun = Arc::clone(&begun);
                tokio::spawn(async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let get = || async {
                        tries.fetch_add(1, Ordering::SeqCst);
                        gate.acquire().await.unwrap().forget();
                        Err(none("away"))
                    };
                    tokens.token(KEY, None, get).await.map(|_| ())
                })
            })
            .collect();
        // On one thread, whoever has begun is waiting by now.
        while begun.load(Ordering::SeqCst) < 20 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(20);
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().message, "away");
        }
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        let got = AtomicUsize::new(0);
        assert_eq!(next(&tokens, &got, None, None).await.value(), "1");
    }

    #[tokio::test]
    async fn whoever_is_given_up_while_it_gets_one_leaves_that_to_the_next() {
        let tokens = Tokens::default();
        let never = tokens.token(KEY, None, std::future::pending::<Result<Token, NoToken>>);
        tokio::select! {
            biased;
            _ = never => unreachable!("it never gets one"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(next(&tokens, &AtomicUsize::new(0), None, None).await.value(), "1");
    }
}
