//! Facts of containers that events carry: names, images and labels.

use bubble_common::segment::facts;
use serde_json::Value;

use super::bytes::until_nul;

/// Longest fact that is kept, in bytes.
const MAX_FACT: usize = 1_024;
/// Most labels.
const MAX_LABELS: usize = 64;
/// Characters of a short id.
const SHORT_ID: usize = 12;

/// The facts of one container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContainerFacts {
    pub(super) id: String,
    pub(super) facts: Vec<(String, String)>,
}

/// The name of a runtime, by the number of its type (`CT_…` in libsinsp).
fn runtime(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "docker",
        1 | 2 => "lxc",
        3 => "mesos",
        4 => "rkt",
        6 | 7 => "containerd",
        8 => "cri-o",
        9 => "bpm",
        11 => "podman",
        _ => return None,
    })
}

/// Reads the JSON of events and of the container plugin.
pub(super) fn from_json(bytes: &[u8]) -> Option<ContainerFacts> {
    let json: Value = serde_json::from_slice(until_nul(bytes)).ok()?;
    let container = json.get("container")?;
    let text = |name: &str| {
        let text = container.get(name)?.as_str()?;
        (!text.is_empty() && text != "incomplete").then(|| text.to_owned())
    };
    let mut facts = ContainerFacts {
        id: short(&text("id")?),
        facts: Vec::new(),
    };
    facts.add(facts::NAME, text("name"));
    facts.add(facts::IMAGE, text("image"));
    facts.add(facts::FULL_ID, text("full_id"));
    let number = container.get("type").and_then(Value::as_u64);
    facts.add(facts::RUNTIME, number.and_then(runtime).map(str::to_owned));
    let labels = container.get("labels").and_then(Value::as_object);
    for (label, value) in labels.into_iter().flatten().take(MAX_LABELS) {
        let value = value.as_str().map(str::to_owned);
        facts.add(&format!("{}{label}", facts::LABEL), value);
    }
    Some(facts)
}

/// Reads the four parameters of the first form: id, type, name, image.
pub(super) fn from_params(params: [Option<&[u8]>; 4]) -> Option<ContainerFacts> {
    let [id, kind, name, image] = params;
    let text = |bytes: &[u8]| String::from_utf8_lossy(until_nul(bytes)).into_owned();
    let mut facts = ContainerFacts {
        id: short(&text(id?)),
        facts: Vec::new(),
    };
    facts.add(facts::NAME, name.map(text));
    facts.add(facts::IMAGE, image.map(text));
    let number = kind.and_then(|kind| kind.try_into().ok());
    let number = number.map(|number| u64::from(u32::from_le_bytes(number)));
    facts.add(facts::RUNTIME, number.and_then(runtime).map(str::to_owned));
    Some(facts)
}

/// An id in its shortest form: writers cut it at different lengths.
fn short(id: &str) -> String {
    id.chars().take(SHORT_ID).collect()
}

impl ContainerFacts {
    fn add(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value
            && !value.is_empty()
            && name.len() + value.len() <= MAX_FACT
        {
            self.facts.push((name.to_owned(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{from_json, from_params};

    fn facts(of: &super::ContainerFacts) -> Vec<(&str, &str)> {
        let pairs = of.facts.iter();
        pairs.map(|(name, value)| (&**name, &**value)).collect()
    }

    #[test]
    fn json_has_name_image_and_labels() {
        let read = from_json(
            b"\n{\"container\":{\"id\":\"0123456789abcdef\",\"type\":0,\"name\":\"web\",\
              \"image\":\"nginx\",\"labels\":{\"team\":\"a\",\"n\":1}}}\n\0",
        )
        .unwrap();
        assert_eq!(read.id, "0123456789ab");
        assert_eq!(
            facts(&read),
            [
                ("name", "web"),
                ("image", "nginx"),
                ("runtime", "docker"),
                ("label.team", "a")
            ]
        );
    }

    #[test]
    fn facts_that_are_not_known_yet_are_left_out() {
        let read =
            from_json(b"{\"container\":{\"id\":\"a\",\"image\":\"incomplete\",\"labels\":null}}");
        assert_eq!(read.unwrap().facts, []);
        assert_eq!(from_json(b"{\"container\":{}}\0"), None);
        assert_eq!(from_json(b"{"), None);
    }

    #[test]
    fn the_first_form_had_four_parameters() {
        let read =
            from_params([Some(b"abc\0"), Some(&[1, 0, 0, 0]), Some(b"box\0"), None]).unwrap();
        assert_eq!(read.id, "abc");
        assert_eq!(facts(&read), [("name", "box"), ("runtime", "lxc")]);
        assert_eq!(from_params([None; 4]), None);
    }
}
