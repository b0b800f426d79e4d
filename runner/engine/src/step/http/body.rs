//! What a request carries.

use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::Node;

use crate::step::StepError;
use crate::step::fields::Pairs;

/// The body of a request.
pub(super) enum Body {
    None,
    /// JSON without templates, encoded once.
    Encoded(Bytes),
    Json(Data),
    Form(Pairs),
    Text(Text),
}

impl Body {
    /// The one of three that is given.
    pub fn choose(
        json: Option<Data>,
        form: Option<Pairs>,
        text: Option<Text>,
        node: &Node,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let given =
            usize::from(json.is_some()) + usize::from(form.is_some()) + usize::from(text.is_some());
        if given > 1 {
            problems.push(
                Problem::at(ProblemKind::Conflict, &node.span, "a request has one body")
                    .help("keep one of `json`, `form` and `body`"),
            );
        }
        match (json, form, text) {
            (Some(j), ..) => match j.plain() {
                Some(plain) => Body::Encoded(plain.to_string().into()),
                None => Body::Json(j),
            },
            (_, Some(f), _) => Body::Form(f),
            (.., Some(t)) => Body::Text(t),
            _ => Body::None,
        }
    }

    /// Its bytes and their type.
    pub fn render(&self, scope: &Scope) -> Result<(Bytes, Option<&'static str>), StepError> {
        const JSON: Option<&str> = Some("application/json");
        Ok(match self {
            Body::None => (Bytes::new(), None),
            Body::Encoded(bytes) => (bytes.clone(), JSON),
            Body::Json(data) => (data.render(scope)?.to_string().into(), JSON),
            Body::Form(pairs) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (k, v) in &pairs.0 {
                    form.append_pair(&k.render(scope)?, &v.render_text(scope)?);
                }
                (
                    form.finish().into(),
                    Some("application/x-www-form-urlencoded"),
                )
            }
            Body::Text(text) => (text.render(scope)?.into(), None),
        })
    }
}
