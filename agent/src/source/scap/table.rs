//! What is known of each type of event: how many parameters it has, what it is to us,
//! and how an event of an older writer becomes one of the newest form.
//!
//! Older writers put a call's descriptor and arguments into an event of their own when
//! the call begins, and only the result into the one when it ends; newer ones put all
//! into the latter. `conversions.txt` says for each (type, number of parameters) how the
//! one becomes the other. Here the chains of its rules are followed once, so that for
//! each event it is known where each parameter of the newest form is to be found, and
//! nothing is ever copied to convert it. The numbers and rules are those of
//! falcosecurity/libs (`event_table.c`, `scap_converter`), of mid-2026.

use std::sync::LazyLock;

use super::call::Call;

/// Parameters of each type of event in its newest form, by its number.
#[rustfmt::skip]
const PARAMETERS: [u8; 454] = [
    2, 2, 3, 6, 1, 2, 2, 4, 2, 4, 1, 1, 0, 8, 0, 11, 0, 0, 3, 5, 1, 3, 2, 4, 2,
    3, 0, 3, 2, 5, 3, 5, 2, 5, 2, 5, 2, 3, 0, 0, 0, 0, 3, 8, 0, 6, 0, 6, 3, 5,
    0, 5, 1, 6, 0, 6, 1, 3, 2, 6, 0, 4, 2, 3, 3, 4, 0, 2, 0, 2, 1, 2, 0, 2, 0,
    2, 1, 1, 1, 2, 2, 3, 0, 1, 0, 1, 3, 4, 3, 4, 2, 1, 0, 2, 0, 2, 1, 2, 2, 1,
    1, 1, 4, 1, 2, 1, 4, 1, 1, 1, 2, 1, 3, 5, 3, 5, 1, 4, 2, 4, 2, 5, 3, 5, 1,
    1, 3, 4, 2, 3, 2, 3, 3, 4, 1, 2, 2, 3, 1, 2, 1, 4, 1, 4, 2, 7, 1, 0, 1, 1,
    2, 4, 6, 0, 0, 13, 0, 16, 1, 5, 6, 10, 6, 10, 2, 6, 4, 5, 2, 5, 3, 4, 0, 14, 0,
    3, 0, 5, 0, 3, 0, 4, 0, 16, 0, 16, 5, 0, 4, 5, 4, 18, 3, 4, 3, 4, 2, 0, 1, 2,
    1, 2, 0, 1, 0, 1, 0, 1, 0, 1, 0, 4, 0, 4, 0, 15, 0, 17, 0, 17, 0, 17, 0, 21, 0,
    21, 0, 21, 4, 0, 0, 16, 3, 0, 2, 0, 1, 2, 1, 2, 2, 3, 2, 3, 2, 0, 0, 5, 1, 5,
    1, 9, 4, 5, 3, 4, 1, 5, 1, 2, 1, 0, 3, 4, 1, 3, 0, 2, 3, 3, 1, 0, 1, 0, 0,
    1, 1, 3, 0, 2, 2, 0, 0, 17, 1, 2, 4, 0, 1, 17, 3, 0, 1, 31, 2, 3, 1, 1, 2, 3,
    0, 2, 0, 4, 0, 4, 4, 7, 0, 3, 0, 6, 0, 4, 0, 3, 0, 3, 0, 6, 0, 2, 2, 0, 1,
    0, 5, 8, 3, 4, 3, 30, 3, 6, 0, 21, 0, 6, 0, 8, 0, 6, 0, 5, 0, 3, 0, 3, 0, 2,
    0, 1, 0, 4, 6, 0, 6, 0, 3, 0, 3, 0, 1, 3, 1, 4, 1, 2, 1, 2, 0, 4, 0, 7, 1,
    2, 1, 2, 0, 4, 0, 4, 0, 4, 0, 6, 0, 2, 1, 6, 1, 3, 0, 5, 0, 2, 1, 3, 2, 4,
    0, 4, 3, 0, 0, 3, 0, 4, 0, 3, 0, 4, 0, 4, 0, 4, 0, 5, 0, 4, 0, 3, 0, 3, 0,
    3, 0, 3, 0, 3, 32, 0, 3, 0, 3, 0, 5, 0, 3, 0, 8, 0, 8, 0, 6, 0, 4, 0, 4, 0,
    0, 4, 0, 6,
];
/// Types whose parameters have lengths of four bytes.
const WIDE: [u16; 3] = [322, 324, 402];
/// `TYPE/PARAMETERS ACTION …`, a rule a line. `oN` is a parameter of the event, `eN` one of
/// the event when the call began (a `?` after it: empty when that is missing), `emp` is
/// empty, `def` zeros, which are empty to us: a zero would be taken for a descriptor. The
/// rule of 228/4 is left out: it makes one parameter of four.
const CONVERSIONS: &str = include_str!("table/conversions.txt");
/// Longest chain of rules that is followed; the longest there is has nine.
const CHAIN: usize = 16;

/// Where a parameter of the newest form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the event itself.
    Own(u8),
    /// In the event when the call began.
    Enter(u8),
    /// Nowhere.
    Empty,
}

/// How an event of an older form becomes one of the newest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The form: how many parameters it has.
    count: u8,
    /// The type that it becomes.
    pub(super) code: u16,
    /// The type (in its newest form) of the event when the call began, where that is needed.
    pub(super) enter: Option<u16>,
    places: Vec<Place>,
}

/// A type of event.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) params: u8,
    pub(super) wide: bool,
    /// What it is in its newest form.
    pub(super) call: Call,
    /// To be kept until the call ends.
    pub(super) keep: bool,
    plans: Vec<Plan>,
}

/// All types of events.
#[derive(Debug)]
pub(super) struct Table(Vec<Code>);

/// A line of the conversions.
#[derive(Debug)]
struct Rule<'a> {
    code: u16,
    count: u8,
    action: &'a str,
    /// The type that it becomes by `CHANGE`.
    becomes: Option<u16>,
    places: Vec<Place>,
}

impl Plan {
    /// Where the parameter at `index` is.
    pub(super) fn place(&self, index: u8) -> Place {
        self.places
            .get(usize::from(index))
            .copied()
            .unwrap_or(Place::Empty)
    }
}

impl Code {
    /// How an event with `count` parameters is to be read; nothing when it is of the newest form.
    #[inline]
    pub(super) fn plan(&self, count: u8) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.count == count)
    }
}

impl Table {
    /// The table, made once.
    pub(super) fn get() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
        &TABLE
    }

    fn new() -> Self {
        let rules: Vec<Rule<'_>> = CONVERSIONS.lines().filter_map(Rule::parse).collect();
        let mut codes: Vec<Code> = PARAMETERS
            .iter()
            .zip(0u16..)
            .map(|(params, code)| Code {
                params: *params,
                wide: WIDE.contains(&code),
                call: Call::of(code),
                ..Code::default()
            })
            .collect();
        for rule in rules.iter().filter(|rule| rule.converts()) {
            let plan = follow(&rules, rule.code, rule.count);
            let call = Call::of(plan.code);
            if let Some(code) = codes.get_mut(usize::from(rule.code)) {
                code.call = call;
                code.plans.push(plan);
            }
        }
        // What comes when a call begins is kept if how it ended is of interest and does not say all.
        let kept: Vec<u16> = codes
            .iter()
            .filter(|code| code.call != Call::Ignore)
            .flat_map(|code| code.plans.iter().filter_map(|plan| plan.enter))
            .chain(Call::ENTERS)
            .collect();
        for (number, code) in (0u16..).zip(&mut codes) {
            let becomes = |plan: &Plan| kept.contains(&plan.code);
            code.keep =
                number % 2 == 0 && (kept.contains(&number) || code.plans.iter().any(becomes));
        }
        Self(codes)
    }

    #[inline]
    pub(super) fn code(&self, code: u16) -> Option<&Code> {
        self.0.get(usize::from(code))
    }
}

impl<'a> Rule<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (code, count) = words.next()?.split_once('/')?;
        let action = words.next()?;
        let becomes = match action {
            "CHANGE" => Some(words.next()?.parse().ok()?),
            _ => None,
        };
        let mut places = Vec::new();
        for word in words {
            let place = |word: &str| {
                let word = word.trim_end_matches('?');
                Some(match word.split_at_checked(1)? {
                    ("o", index) => Place::Own(index.parse().ok()?),
                    ("e", index) if word != "emp" => Place::Enter(index.parse().ok()?),
                    _ => Place::Empty,
                })
            };
            match word.split_once("..") {
                // A range: `o0..o7`.
                Some((first, last)) => match (place(first)?, place(last)?) {
                    (Place::Own(first), Place::Own(last)) => {
                        places.extend((first..=last).map(Place::Own));
                    }
                    _ => return None,
                },
                None => places.push(place(word)?),
            }
        }
        Some(Self {
            code: code.parse().ok()?,
            count: count.parse().ok()?,
            action,
            becomes,
            places,
        })
    }

    /// Whether the event has to be made another one (and not only to be kept, or passed on).
    fn converts(&self) -> bool {
        matches!(self.action, "ADD" | "CHANGE")
    }
}

/// Follows the rules from a form to the newest.
fn follow(rules: &[Rule<'_>], code: u16, count: u8) -> Plan {
    let mut plan = Plan {
        count,
        code,
        enter: None,
        places: (0..count).map(Place::Own).collect(),
    };
    for _ in 0..CHAIN {
        let form = (plan.code, plan.places.len());
        let next = rules
            .iter()
            .filter(|rule| rule.converts())
            .find(|rule| (rule.code, usize::from(rule.count)) == form);
        let Some(rule) = next else { break };
        let places = rule.places.iter().map(|place| match *place {
            Place::Own(index) => plan.place(index),
            other => other,
        });
        let added: Vec<Place> = places.collect();
        if added.iter().any(|place| matches!(place, Place::Enter(_))) {
            plan.enter = plan.code.checked_sub(1);
        }
        match rule.becomes {
            Some(becomes) => {
                plan.code = becomes;
                plan.places = added;
            }
            None => plan.places.extend(added),
        }
    }
    plan
}

#[cfg(test)]
mod tests;
