use super::{CONVERSIONS, PARAMETERS, Place, Rule, Table, follow};

fn rules() -> Vec<Rule<'static>> {
    CONVERSIONS.lines().filter_map(Rule::parse).collect()
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
        let plan = follow(&rules(), rule.code, rule.count);
        assert_eq!(
            plan.places.len(),
            usize::from(PARAMETERS[usize::from(plan.code)]),
            "{rule:?} became {plan:?}"
        );
    }
}

#[test]
fn the_first_exec_there_was_is_one_of_today() {
    let plan = follow(&rules(), 13, 8);
    assert_eq!(plan.code, 293);
    assert_eq!(plan.place(0), Place::Own(0));
    assert_eq!(plan.place(7), Place::Own(7));
    assert_eq!(plan.place(14), Place::Empty, "it had no cgroups");
}

#[test]
fn what_an_old_read_lacks_is_where_it_began() {
    let table = Table::get();
    let read = table.code(7).unwrap();
    let plan = read.plan(2).unwrap();
    assert_eq!((plan.code, plan.enter), (7, Some(6)));
    assert_eq!(plan.place(2), Place::Enter(0));
    assert!(read.plan(4).is_none());
    assert!(table.code(6).unwrap().keep);
    assert!(!table.code(64).unwrap().keep, "nobody asks about a futex");
}
