//! What events tell of containers: their names, images and labels.

use bubble_common::segment::facts;
use serde_json::Value;

use super::bytes::until_nul;

/// Longest fact that is kept.
const LONGEST: usize = 1_024;
/// Most labels.
const LABELS: usize = 64;
/// Digits of an id in short.
const ID: usize = 12;

/// The facts of one container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) facts: Vec<(String, String)>,
}

/// By the number of its type.
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

/// Of the JSON that events and the container plugin have.
pub(super) fn json(bytes: &[u8]) -> Option<Told> {
    let json: Value = serde_json::from_slice(until_nul(bytes)).ok()?;
    let container = json.get("container")?;
    let text = |name: &str| {
        let text = container.get(name)?.as_str()?;
        (!text.is_empty() && text != "incomplete").then(|| text.to_owned())
    };
    let mut told = Told {
        id: short(&text("id")?),
        facts: Vec::new(),
    };
    told.fact(facts::NAME, text("name"));
    told.fact(facts::IMAGE, text("image"));
    told.fact(facts::FULL_ID, text("full_id"));
    let number = container.get("type").and_then(Value::as_u64);
    told.fact(facts::RUNTIME, number.and_then(runtime).map(str::to_owned));
    let labels = container.get("labels").and_then(Value::as_object);
    for (label, value) in labels.into_iter().flatten().take(LABELS) {
        let value = value.as_str().map(str::to_owned);
        told.fact(&format!("{}{label}", facts::LABEL), value);
    }
    Some(told)
}

/// Of the four parameters of the first form: id, type, name, image.
pub(super) fn params(params: [Option<&[u8]>; 4]) -> Option<Told> {
    let [id, kind, name, image] = params;
    let text = |bytes: &[u8]| String::from_utf8_lossy(until_nul(bytes)).into_owned();
    let mut told = Told {
        id: short(&text(id?)),
        facts: Vec::new(),
    };
    told.fact(facts::NAME, name.map(text));
    told.fact(facts::IMAGE, image.map(text));
    let number = kind.and_then(|kind| kind.try_into().ok());
    let number = number.map(|number| u64::from(u32::from_le_bytes(number)));
    told.fact(facts::RUNTIME, number.and_then(runtime).map(str::to_owned));
    Some(told)
}

/// Ids are cut at different lengths.
fn short(id: &str) -> String {
    id.chars().take(ID).collect()
}

impl Told {
    fn fact(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value
            && !value.is_empty()
            && name.len() + value.len() <= LONGEST
        {
            self.facts.push((name.to_owned(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{json, params};

    fn facts(told: &super::Told) -> Vec<(&str, &str)> {
        let pairs = told.facts.iter();
        pairs.map(|(name, value)| (&**name, &**value)).collect()
    }

    #[test]
    fn json_tells_name_image_and_labels() {
        let told = json(
            b"\n{\"container\":{\"id\":\"0123456789abcdef\",\"type\":0,\"name\":\"web\",\
              \"image\":\"nginx\",\"labels\":{\"team\":\"a\",\"n\":1}}}\n\0",
        )
        .unwrap();
        assert_eq!(told.id, "0123456789ab");
        assert_eq!(
            facts(&told),
            [
                ("name", "web"),
                ("image", "nginx"),
                ("runtime", "docker"),
                ("label.team", "a")
            ]
        );
    }

    #[test]
    fn what_is_not_known_yet_is_left_out() {
        let told = json(b"{\"container\":{\"id\":\"a\",\"image\":\"incomplete\",\"labels\":null}}");
        assert_eq!(told.unwrap().facts, []);
        assert_eq!(json(b"{\"container\":{}}\0"), None);
        assert_eq!(json(b"{"), None);
    }

    #[test]
    fn the_first_form_had_four_parameters() {
        let told = params([Some(b"abc\0"), Some(&[1, 0, 0, 0]), Some(b"box\0"), None]).unwrap();
        assert_eq!(told.id, "abc");
        assert_eq!(facts(&told), [("name", "box"), ("runtime", "lxc")]);
        assert_eq!(params([None; 4]), None);
    }
}
