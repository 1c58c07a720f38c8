//! Gives the questions of an evaluation to whom they are for.

use futures_util::StreamExt as _;
use futures_util::stream;
use testfleet_evaluation::{Addressee, Answer, Ask, Question};
use tokio::time::Instant;

use crate::error::{AskError, AskErrorKind};
use crate::model::{Judged, Model};
use crate::models::Models;
use crate::occasion::Occasion;

/// Questions of one test that are asked at once.
const AT_ONCE: usize = 16;

/// The answers to questions, by their ids. Each is there at the latest at `by`: a question without an answer is answered with the
/// reason.
pub async fn answer(
    models: &Models,
    questions: Vec<Question>,
    occasion: &Occasion<'_>,
    by: Instant,
) -> Vec<(String, Answer)> {
    let asked = questions.into_iter().map(|question| async move {
        let answered = tokio::time::timeout_at(by, ask(models, &question, occasion)).await;
        let answer = answered.unwrap_or_else(|_| Answer {
            transient: true,
            ..Answer::none("the time of the test was over before the answer was there")
        });
        (question.id, answer)
    });
    stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
}

async fn ask(models: &Models, question: &Question, occasion: &Occasion<'_>) -> Answer {
    let label = match occasion.turn {
        Some(turn) => format!("turn-{turn}/metric{}", question.id),
        None => format!("metric{}", question.id),
    };
    let (model, answered) = match (&question.to, &question.ask) {
        (Addressee::Model(name), ask) => {
            let model = match models.get(name.as_deref()) {
                Ok(model) => model,
                Err(error) => return of(Err(error), None),
            };
            (
                Some(&**model),
                ask_model(
                    models,
                    model,
                    name.as_deref(),
                    ask,
                    question.is_shared,
                    &label,
                    occasion,
                )
                .await,
            )
        }
        (Addressee::Webhook(webhook), Ask::Post(body)) => {
            let hook = models.hook(webhook);
            let answered = match &*hook {
                Ok(hook) => hook.post(body.clone(), &label, occasion, models.jitter()).await,
                Err(why) => return Answer::none(format!("the webhook cannot be called: {why}")),
            };
            let judged = answered.map(|value| Judged {
                value,
                usage: Default::default(),
                cost: None,
            });
            (None, judged)
        }
        (Addressee::Webhook(_), _) => return Answer::none("a webhook is asked with a document only"),
    };
    of(answered, model)
}

async fn ask_model(
    models: &Models,
    model: &Model,
    name: Option<&str>,
    ask: &Ask,
    is_shared: bool,
    label: &str,
    occasion: &Occasion<'_>,
) -> Result<Judged, AskError> {
    match ask {
        Ask::Judge { messages, form } if is_shared => {
            let said: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
            let cell = models.shared(format!("{}\n{}", name.unwrap_or_default(), said.join("\n")));
            let mut asked = false;
            let judged = cell
                .get_or_try_init(|| {
                    asked = true;
                    model.judge(messages, form, label, occasion)
                })
                .await?
                .clone();
            // Whoever asked has paid.
            Ok(if asked {
                judged
            } else {
                Judged {
                    usage: Default::default(),
                    cost: None,
                    ..judged
                }
            })
        }
        Ask::Judge { messages, form } => model.judge(messages, form, label, occasion).await,
        Ask::Embed(texts) => model.embed(texts, label, occasion).await,
        Ask::Post(_) => Err(AskError::new(AskErrorKind::Foreign {
            what: "question for a model",
            excerpt: String::new(),
        })),
    }
}

fn of(answered: Result<Judged, AskError>, model: Option<&Model>) -> Answer {
    match answered {
        Ok(Judged { value, usage, cost }) => Answer {
            reply: Ok(value),
            usage,
            cost,
            transient: false,
        },
        Err(error) => Answer {
            transient: error.is_transient(),
            reply: Err(error.to_string()),
            cost: model.and_then(|model| model.cost(&error.usage)),
            usage: error.usage,
        },
    }
}
