//! How an event of an older writer becomes one of the newest form.
//!
//! Older writers put a call's descriptor and arguments into an event of its own when the call
//! begins, and only the result into the one when it ends; newer ones put all into the latter.
//! `conversions.txt` has a rule for each (type, number of parameters). This table follows the
//! chains of rules once and remembers where each parameter of the newest form is, so that no
//! event is copied to convert it. The rules are those of falcosecurity/libs (`scap_converter`),
//! of mid-2026.

use std::sync::LazyLock;

use super::call::Call;
use super::event_type::EventType;

/// `TYPE/PARAMETERS ACTION …`, a rule a line. `oN` is a parameter of the event, `eN` one of
/// the event when the call began (a `?` after it: empty if that is missing), `emp` is empty,
/// `def` zeros. Zeros are read as empty, as a zero would be taken for a descriptor. The rule
/// of `CONTAINER_E/4` is left out: it makes one parameter of four.
const CONVERSIONS: &str = include_str!("conversions.txt");
/// Longest chain of rules that is followed; the longest there is has nine.
const MAX_CHAIN: usize = 16;

/// The source of a parameter of the newest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParamSource {
    /// The event itself.
    Own(u8),
    /// The event when the call began.
    Enter(u8),
    /// None: the older form lacks it.
    Empty,
}

/// How an event of an older form becomes one of the newest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conversion {
    /// Number of parameters of the older form.
    count: u8,
    /// The type that it becomes.
    pub(super) event_type: EventType,
    /// The type (in its newest form) of the event when the call began, where that is needed.
    pub(super) enter: Option<EventType>,
    params: Vec<ParamSource>,
}

/// The table's row of a type of event.
#[derive(Debug)]
pub(super) struct TypeInfo {
    pub(super) event_type: EventType,
    pub(super) params: u8,
    /// Lengths of parameters have four bytes instead of two.
    pub(super) wide: bool,
    /// The meaning of its newest form.
    pub(super) call: Call,
    /// Its parameters are kept until the call ends.
    pub(super) is_kept: bool,
    /// The recorder wrote it: its time is not that of the machine.
    pub(super) is_of_recorder: bool,
    conversions: Vec<Conversion>,
}

/// All types of events.
#[derive(Debug)]
pub(super) struct Table(Vec<TypeInfo>);

/// A line of the conversions.
#[derive(Debug)]
struct Rule<'a> {
    event_type: EventType,
    count: u8,
    action: &'a str,
    /// The type that it becomes by `CHANGE`.
    becomes: Option<EventType>,
    params: Vec<ParamSource>,
}

impl Conversion {
    /// The source of the parameter at `index`.
    pub(super) fn source(&self, index: u8) -> ParamSource {
        self.params
            .get(usize::from(index))
            .copied()
            .unwrap_or(ParamSource::Empty)
    }
}

impl TypeInfo {
    fn new(event_type: EventType) -> Self {
        Self {
            event_type,
            params: event_type.parameters(),
            wide: event_type.has_wide_lengths(),
            call: Call::of(event_type),
            is_kept: false,
            is_of_recorder: event_type.is_of_recorder(),
            conversions: Vec::new(),
        }
    }

    /// How to read an event with `count` parameters; `None` if it has the newest form.
    #[inline]
    pub(super) fn conversion(&self, count: u8) -> Option<&Conversion> {
        self.conversions.iter().find(|older| older.count == count)
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
        let types = EventType::ALL.iter();
        let mut types: Vec<TypeInfo> = types.map(|&it| TypeInfo::new(it)).collect();
        for rule in rules.iter().filter(|rule| rule.converts()) {
            let conversion = follow(&rules, rule.event_type, rule.count);
            let info = &mut types[usize::from(rule.event_type.number())];
            info.call = Call::of(conversion.event_type);
            info.conversions.push(conversion);
        }
        // The beginning of a call is kept if its end counts and lacks some of the parameters.
        let kept: Vec<EventType> = types
            .iter()
            .filter(|info| info.call != Call::Ignore)
            .flat_map(|info| info.conversions.iter().filter_map(|older| older.enter))
            .chain(Call::NAMING_ENTERS)
            .collect();
        for info in types.iter_mut().filter(|info| info.event_type.is_enter()) {
            let becomes = |older: &Conversion| kept.contains(&older.event_type);
            info.is_kept = kept.contains(&info.event_type) || info.conversions.iter().any(becomes);
        }
        Self(types)
    }

    /// The row of a type's number; `None` for types newer than this table.
    #[inline]
    pub(super) fn by_number(&self, number: u16) -> Option<&TypeInfo> {
        self.0.get(usize::from(number))
    }
}

impl<'a> Rule<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (event_type, count) = words.next()?.split_once('/')?;
        let action = words.next()?;
        let becomes = match action {
            "CHANGE" => Some(EventType::from_name(words.next()?)?),
            _ => None,
        };
        let mut params = Vec::new();
        for word in words {
            match word.split_once("..") {
                // A range: `o0..o7`.
                Some((first, last)) => match (param_source(first)?, param_source(last)?) {
                    (ParamSource::Own(first), ParamSource::Own(last)) => {
                        params.extend((first..=last).map(ParamSource::Own));
                    }
                    _ => return None,
                },
                None => params.push(param_source(word)?),
            }
        }
        Some(Self {
            event_type: EventType::from_name(event_type)?,
            count: count.parse().ok()?,
            action,
            becomes,
            params,
        })
    }

    /// Whether the event becomes another one, instead of being kept or passed on.
    fn converts(&self) -> bool {
        matches!(self.action, "ADD" | "CHANGE")
    }
}

fn param_source(word: &str) -> Option<ParamSource> {
    let word = word.trim_end_matches('?');
    Some(match word.split_at_checked(1)? {
        ("o", index) => ParamSource::Own(index.parse().ok()?),
        ("e", index) if word != "emp" => ParamSource::Enter(index.parse().ok()?),
        _ => ParamSource::Empty,
    })
}

/// Follows the rules from a form to the newest.
fn follow(rules: &[Rule<'_>], event_type: EventType, count: u8) -> Conversion {
    let mut conversion = Conversion {
        count,
        event_type,
        enter: None,
        params: (0..count).map(ParamSource::Own).collect(),
    };
    for _ in 0..MAX_CHAIN {
        let form = (conversion.event_type, conversion.params.len());
        let next = rules
            .iter()
            .filter(|rule| rule.converts())
            .find(|rule| (rule.event_type, usize::from(rule.count)) == form);
        let Some(rule) = next else { break };
        let params = rule.params.iter().map(|source| match *source {
            ParamSource::Own(index) => conversion.source(index),
            other => other,
        });
        let added: Vec<ParamSource> = params.collect();
        if added
            .iter()
            .any(|source| matches!(source, ParamSource::Enter(_)))
        {
            conversion.enter = conversion.event_type.enter();
        }
        match rule.becomes {
            Some(becomes) => {
                conversion.event_type = becomes;
                conversion.params = added;
            }
            None => conversion.params.extend(added),
        }
    }
    conversion
}

#[cfg(test)]
mod tests;
