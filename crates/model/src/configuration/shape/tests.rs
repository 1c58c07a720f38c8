//! What becomes of dependencies, groups and repetitions, and what is said about wrong ones.

use std::collections::BTreeMap;

use super::*;
use crate::configuration::{Group, RepeatPolicy};

fn attributes() -> Attributes {
    Attributes {
        groups: BTreeMap::from([
            ("db".to_owned(), Group { max_concurrency: 1 }),
            ("ui".to_owned(), Group { max_concurrency: 2 }),
        ]),
        ..Attributes::default()
    }
}

fn sequential() -> Attributes {
    Attributes {
        execution_mode: ExecutionMode::Sequential,
        ..attributes()
    }
}

fn test(id: &str, depends_on: &[&str]) -> TestCase {
    TestCase {
        id: id.to_owned(),
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        ..TestCase::default()
    }
}

fn repeated(times: u32, test: TestCase) -> TestCase {
    TestCase {
        repeat: Some(times),
        ..test
    }
}

fn always(test: TestCase) -> TestCase {
    TestCase { always: true, ..test }
}

fn grouped(group: &str, test: TestCase) -> TestCase {
    TestCase {
        group: Some(group.to_owned()),
        ..test
    }
}

fn shape(attributes: &Attributes, tests: &[TestCase]) -> Result<RunShape, Vec<String>> {
    let mut shape = Shape::new(attributes);
    for test in tests {
        shape.add(test);
    }
    shape.finish().map_err(|problems| {
        let told = problems
            .iter()
            .map(|problem| format!("{}: {}: {}", problem.index, problem.key, problem.message));
        told.collect()
    })
}

fn needs(shape: &RunShape) -> Vec<(u32, Vec<u32>)> {
    shape.needs().map(|needs| (needs.index, needs.dependencies)).collect()
}

#[test]
fn tests_that_stand_for_themselves_have_no_shape() {
    let shape = shape(&attributes(), &[test("a", &[]), test("b", &[])]).unwrap();
    assert!(!shape.is_shaped());
    assert_eq!(
        (shape.total(), shape.needs().count(), shape.grouped().count()),
        (2, 0, 0)
    );
}

#[test]
fn the_order_alone_is_a_shape() {
    let attributes = Attributes {
        order: Order::LongestFirst,
        ..Attributes::default()
    };
    let shape = shape(&attributes, &[test("a", &[])]).unwrap();
    assert!(shape.is_shaped());
    assert_eq!(shape.order(), Order::LongestFirst);
}

#[test]
fn dependencies_are_known_by_index_whichever_is_written_first() {
    let tests = [
        test("clean", &["use", "make"]),
        test("use", &["make"]),
        test("make", &[]),
    ];
    let shape = shape(&attributes(), &tests).unwrap();
    assert!(shape.is_shaped());
    assert_eq!(needs(&shape), [(0, vec![1, 2]), (1, vec![2])]);
    assert_eq!(shape.dependents(), BTreeMap::from([(1, vec![0]), (2, vec![0, 1])]));
}

#[test]
fn a_dependency_that_is_written_twice_counts_once() {
    let shape = shape(&attributes(), &[test("a", &[]), test("b", &["a", "a"])]).unwrap();
    assert_eq!(needs(&shape), [(1, vec![0])]);
}

#[test]
fn repetitions_wait_and_are_waited_for_each() {
    let tests = [
        repeated(2, test("a", &[])),
        test("b", &[]),
        grouped("db", repeated(2, test("c", &["a", "b"]))),
        always(test("d", &["c"])),
    ];
    let shape = shape(&attributes(), &tests).unwrap();
    assert_eq!(shape.total(), 6);
    assert_eq!(needs(&shape), [(3, vec![0, 1, 2]), (4, vec![0, 1, 2]), (5, vec![3, 4])]);
    let of_all: Vec<bool> = shape.needs().map(|needs| needs.always).collect();
    assert_eq!(of_all, [false, false, true]);
    assert_eq!(shape.grouped().collect::<Vec<_>>(), [(3, "db"), (4, "db")]);
    assert_eq!(shape.groups(), [("db".to_owned(), 1), ("ui".to_owned(), 2)]);
}

#[test]
fn indices_are_those_of_the_tests_that_are_executed() {
    let attributes = Attributes {
        repeat: 3,
        ..attributes()
    };
    let tests = [
        TestCase {
            skip: true,
            ..test("left-out", &[])
        },
        test("a", &[]),
        repeated(1, test("b", &["a"])),
        grouped("ui", test("c", &[])),
    ];
    let executed: Vec<TestCase> = tests
        .iter()
        .cloned()
        .flat_map(|test| test.expand(&attributes))
        .collect();
    let shape = shape(&attributes, &tests).unwrap();
    assert_eq!(shape.total(), executed.len() as u64);
    for needs in shape.needs() {
        assert_eq!(executed[needs.index as usize].id, "b");
        let on = needs
            .dependencies
            .iter()
            .map(|index| executed[*index as usize].id.as_str());
        assert_eq!(on.collect::<Vec<_>>(), ["a#1", "a#2", "a#3"]);
    }
    let in_ui = shape.grouped().map(|(index, _)| executed[index as usize].id.clone());
    assert_eq!(in_ui.collect::<Vec<_>>(), ["c#1", "c#2", "c#3"]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_tests() {
    let tests = [
        test("a", &["b", "nobody", "a"]),
        grouped("gpu", test("b", &[])),
        test("c", &["neither"]),
    ];
    assert_eq!(
        shape(&attributes(), &tests).unwrap_err(),
        [
            "0: depends_on[1]: there is no test \"nobody\" in the set",
            "0: depends_on[2]: a test cannot depend on itself",
            "1: group: attributes.groups does not name the group \"gpu\"",
            "2: depends_on[0]: there is no test \"neither\" in the set",
        ]
    );
}

#[test]
fn every_cycle_is_told_as_a_whole_from_its_first_test() {
    let tests = [
        test("start", &["c"]),
        test("b", &["a", "z"]),
        test("a", &["c"]),
        test("c", &["b"]),
        test("y", &["z"]),
        test("z", &["y"]),
    ];
    assert_eq!(
        shape(&attributes(), &tests).unwrap_err(),
        [
            "1: depends_on: the tests wait for each other: b → a → c → b",
            "4: depends_on: the tests wait for each other: y → z → y",
        ]
    );
}

#[test]
fn a_long_cycle_is_cut_in_the_sentence_and_found_without_recursion() {
    let count: u32 = 40_000;
    let tests: Vec<TestCase> = (0..count)
        .map(|n| test(&n.to_string(), &[((n + 1) % count).to_string().as_str()]))
        .collect();
    let [told] = shape(&attributes(), &tests).unwrap_err().try_into().unwrap();
    assert!(
        told.starts_with("0: depends_on: the tests wait for each other: 0 → 1 → 2 → "),
        "{told}"
    );
    assert!(told.ends_with("19 → … 39980 more … → 0"), "{told}");
}

#[test]
fn ways_that_meet_again_are_no_cycle() {
    let tests = [
        test("a", &["b", "c"]),
        test("b", &["d"]),
        test("c", &["d", "b"]),
        test("d", &[]),
    ];
    assert!(shape(&attributes(), &tests).is_ok());
}

#[test]
fn sequential_takes_dependencies_on_earlier_tests_only() {
    let fine = [test("a", &[]), test("b", &["a"])];
    assert!(shape(&sequential(), &fine).unwrap().is_shaped());
    let wrong = [test("a", &["b"]), test("b", &["a"])];
    assert_eq!(
        shape(&sequential(), &wrong).unwrap_err(),
        [
            "0: depends_on[0]: \"b\" comes later in the set, and Sequential runs tests in the submitted order; move it up"
        ]
    );
}

#[test]
fn a_tolerant_policy_and_a_dependency_on_a_repeated_test_do_not_go_together() {
    let tolerant = Attributes {
        repeat_policy: RepeatPolicy { min_pass_rate: 0.8 },
        ..attributes()
    };
    let make = repeated(5, test("make", &[]));
    let refused = shape(&tolerant, &[make.clone(), test("use", &["make"])]).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].starts_with("1: depends_on[0]: \"make\" is repeated, and with"),
        "{refused:?}"
    );
    assert!(shape(&tolerant, &[make.clone(), always(test("clean", &["make"]))]).is_ok());
    assert!(shape(&attributes(), &[make, test("use", &["make"])]).is_ok());
}

#[test]
fn nobody_may_write_an_id_that_a_repetition_gets() {
    let tests = [
        test("a#2", &[]),
        repeated(3, test("a", &[])),
        test("a#4", &[]),
        test("b#1", &[]),
    ];
    assert_eq!(
        shape(&attributes(), &tests).unwrap_err(),
        ["0: id: a repetition of another test gets this id; choose another one"]
    );
}

#[test]
fn dependencies_are_bounded_for_each_test_and_in_all() {
    let make = repeated(1_000, test("make", &[]));
    assert!(shape(&attributes(), &[make.clone(), repeated(50, test("use", &["make"]))]).is_ok());
    let beyond = shape(
        &attributes(),
        &[make.clone(), test("a", &[]), test("use", &["make", "a"])],
    )
    .unwrap_err();
    assert_eq!(
        beyond,
        ["2: depends_on: depends on 1001 tests, repetitions counted each, and at most 1000 are allowed"]
    );
    let all = [make, repeated(50, test("use", &["make"])), test("too", &["make"])];
    assert_eq!(
        shape(&attributes(), &all).unwrap_err(),
        ["2: depends_on: with this test the set has more than 50000 dependencies, repetitions counted each"]
    );
}
