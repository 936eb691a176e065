//! LiveStore's HTTP transport: one call in the body of a POST, answered with a JSON list of the frames that a WebSocket
//! would carry one by one. A pull's answer is written page by page, however large the log.

use std::io;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::timeout;

use super::answer::Refusal;
use super::connection::count;
use super::doors::Place;
use super::offer::Tenure;
use super::{Admitted, Endpoint};
use crate::backend::{Lost, Session, Transport};

/// An answer on its way.
struct Answer {
    session: Session,
    tenure: Arc<Tenure>,
    /// The frame that is sent next, if it is known already.
    next: Option<String>,
    begun: bool,
    /// Held until the last byte was handed on, or the client has gone.
    _place: Place,
}

impl Endpoint {
    /// Answers one call.
    pub(super) async fn call(&self, body: Body, admitted: Admitted) -> Result<Response, Refusal> {
        let Admitted {
            open,
            place,
            client,
            ..
        } = admitted;
        let (bytes_max, tenure) = (open.served.limits.message_bytes_max, &open.tenure);
        let body = tokio::select! {
            biased;
            // Who was let in by rules that hold no longer must not have its call done. Nothing of it was begun.
            () = tenure.over() => return Err(over()),
            body = timeout(self.patience.transfer, to_bytes(body, bytes_max)) => body,
        };
        let body = match body {
            Ok(Ok(body)) => body,
            // The other failure there is, a client that has gone, does not hear the answer.
            Ok(Err(_)) => return Err(Refusal::TooLarge(bytes_max)),
            Err(_) => return Err(Refusal::BadBody("did not come in time")),
        };
        let Ok(frame) = str::from_utf8(&body) else {
            return Err(Refusal::BadBody("is no UTF-8 text"));
        };
        let mut session = Session::new(client, Transport::Http);
        session.take(frame).await;
        if let Some(slowed) = tenure.pace.take(session.tally().sent) {
            tokio::select! {
                () = tokio::time::sleep_until(slowed) => {}
                // It gets the answer to what was done, at once.
                () = tenure.over() => {}
            }
        }
        // The first frame is waited for: once the answer has begun, its status can say nothing any more.
        let next = match session.is_idle() {
            true => None,
            false => Some(session.next().await.map_err(|lost| unavailable(&lost))?),
        };
        count(&self.metrics, &session.tally());
        let answer = Answer {
            session,
            tenure: Arc::clone(tenure),
            next,
            begun: false,
            _place: place,
        };
        let body = Body::from_stream(stream::unfold(Some(answer), Answer::piece));
        let headers = [(header::CONTENT_TYPE, "application/json")];
        Ok((headers, body).into_response())
    }
}

impl Answer {
    /// The next piece of the list, and what is left after it.
    async fn piece(answer: Option<Self>) -> Option<(Result<String, io::Error>, Option<Self>)> {
        let mut answer = answer?;
        let Some(frame) = answer.next.take() else {
            // Even a frame that gets no answer at all gets a list.
            let end = if answer.begun { "]" } else { "[]" };
            return Some((Ok(end.to_owned()), None));
        };
        if !answer.session.is_idle() {
            let next = tokio::select! {
                biased;
                () = answer.tenure.over() => Err(Lost::Shutdown),
                next = answer.session.next() => next,
            };
            match next {
                Ok(next) => answer.next = Some(next),
                // An answer that breaks off is not taken for a whole one.
                Err(lost) => return Some((Err(io::Error::other(lost.to_string())), None)),
            }
        }
        let begin = if answer.begun { ',' } else { '[' };
        answer.begun = true;
        Some((Ok(format!("{begin}{frame}")), Some(answer)))
    }
}

/// The client asks again, and hears then what has become of the store.
fn over() -> Refusal {
    Refusal::Unavailable("its rules have just changed; try again".to_owned())
}

fn unavailable(lost: &Lost) -> Refusal {
    Refusal::Unavailable(lost.to_string())
}
