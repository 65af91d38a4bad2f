use super::super::event_type::EventType;
use super::{CONVERSIONS, ParamSource, Rule, Table, TypeInfo, follow};

fn rules() -> Vec<Rule<'static>> {
    CONVERSIONS.lines().filter_map(Rule::parse).collect()
}

fn info(event_type: EventType) -> &'static TypeInfo {
    Table::get().by_number(event_type.number()).unwrap()
}

#[test]
fn every_rule_is_understood() {
    assert_eq!(rules().len(), CONVERSIONS.lines().count());
    for rule in rules() {
        assert!(
            ["ADD", "CHANGE", "STORE", "PASS", "STORE_AND_PASS"].contains(&rule.action),
            "{rule:?}"
        );
    }
}

#[test]
fn every_chain_ends_in_the_newest_form() {
    for rule in rules().iter().filter(|rule| rule.converts()) {
        let conversion = follow(&rules(), rule.event_type, rule.count);
        assert_eq!(
            conversion.params.len(),
            usize::from(conversion.event_type.parameters()),
            "{rule:?} became {conversion:?}"
        );
    }
}

#[test]
fn the_first_form_of_exec_becomes_the_newest() {
    let conversion = follow(&rules(), EventType::SYSCALL_EXECVE_8_X, 8);
    assert_eq!(conversion.event_type, EventType::SYSCALL_EXECVE_19_X);
    assert_eq!(conversion.source(0), ParamSource::Own(0));
    assert_eq!(conversion.source(7), ParamSource::Own(7));
    assert_eq!(conversion.source(14), ParamSource::Empty, "no cgroups");
}

#[test]
fn an_old_read_has_its_descriptor_at_its_beginning() {
    let read = info(EventType::SYSCALL_READ_X);
    let conversion = read.conversion(2).unwrap();
    assert_eq!(
        (conversion.event_type, conversion.enter),
        (EventType::SYSCALL_READ_X, Some(EventType::SYSCALL_READ_E))
    );
    assert_eq!(conversion.source(2), ParamSource::Enter(0));
    assert!(read.conversion(4).is_none());
    assert!(info(EventType::SYSCALL_READ_E).is_kept);
    assert!(
        !info(EventType::SYSCALL_FUTEX_E).is_kept,
        "nothing counts it"
    );
}
