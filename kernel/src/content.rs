//! From what is shown below a cell to the message of the protocol that shows it. Pure.

use jupyter_protocol::{
    ClearOutput, DisplayData, ExecuteResult, ExecutionCount, JupyterMessageContent, Media, Stdio,
    StreamContent, Transient, UpdateDisplayData,
};
use serde_json::{Map, Value};

use crate::output::Output;
use crate::wire::{Bundle, Stream};

/// The content of the message that shows an output; none where there is nothing to show.
pub fn content(output: Output, execution_count: ExecutionCount) -> Option<JupyterMessageContent> {
    Some(match output {
        Output::Text { stream, text } => {
            let name = match stream {
                Stream::Stdout => Stdio::Stdout,
                Stream::Stderr => Stdio::Stderr,
            };
            StreamContent { name, text }.into()
        }
        Output::Display { bundle, id, update } => {
            let data = media(bundle)?;
            let transient = Transient { display_id: id };
            let metadata = Map::new();
            if update {
                UpdateDisplayData {
                    data,
                    metadata,
                    transient,
                }
                .into()
            } else {
                let transient = Some(transient);
                DisplayData {
                    data,
                    metadata,
                    transient,
                }
                .into()
            }
        }
        Output::Clear { wait } => ClearOutput { wait }.into(),
        Output::Result { bundle } => {
            // Left out, it would be sent as `null`, which the protocol does not allow.
            let transient = Some(Transient::default());
            let result = ExecuteResult::new(execution_count, media(bundle)?);
            ExecuteResult {
                transient,
                ..result
            }
            .into()
        }
    })
}

/// A MIME bundle as the protocol has it: JSON types hold JSON, all others text.
fn media(bundle: Bundle) -> Option<Media> {
    if bundle.is_empty() {
        return None;
    }
    let content = |mime_type: &str, content: String| {
        if mime_type.ends_with("json") {
            serde_json::from_str(&content).unwrap_or(Value::String(content))
        } else {
            Value::String(content)
        }
    };
    let data: Map<String, Value> = bundle
        .into_iter()
        .map(|(mime_type, text)| {
            let value = content(&mime_type, text);
            (mime_type, value)
        })
        .collect();
    serde_json::from_value(Value::Object(data)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sent_as_json_and_pictures_as_text() {
        let bundle = vec![
            ("application/json".to_owned(), r#"{"a": 1}"#.to_owned()),
            ("image/svg+xml".to_owned(), "<svg/>".to_owned()),
            ("text/x-own".to_owned(), "own".to_owned()),
        ];
        let data = serde_json::to_value(media(bundle).unwrap()).unwrap();
        assert_eq!(
            data,
            serde_json::json!({"application/json": {"a": 1}, "image/svg+xml": "<svg/>", "text/x-own": "own"})
        );
    }

    #[test]
    fn an_empty_bundle_is_no_message() {
        assert!(media(Vec::new()).is_none());
    }
}
