//! Each alarm of `template.yaml` on made-up series: it goes off when it should, keeps its state through
//! silence where it should, and clears when it should. Implements only the part of CloudWatch's metric
//! math that the alarms use.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may, and its helpers are part of it

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::template::template;

/// One period's figures, by the alarm's metric ids (`""` if it has only one metric). A metric that is not
/// named has no data point.
type Figures<'a> = &'a [(&'a str, f64)];

/// The expected behaviour of an alarm.
struct Expected<'a> {
    alarm: &'a str,
    /// Each of these sets it off, if it lasts for as many periods as the alarm looks at.
    trouble: &'a [Figures<'a>],
    /// Each of these, if it lasts as long, does not set it off, and clears an alarm that is on.
    well: &'a [Figures<'a>],
    /// Whether it stays on when no more data arrives.
    stays: bool,
    /// Figures that say nothing about the problem, and leave the alarm's state as it is.
    neutral: &'a [Figures<'a>],
}

const ALARMS: &[Expected<'_>] = &[
    Expected {
        alarm: "SignInsRefusedAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "SignInsQueuedAlarm",
        trouble: &[&[("", 10.0)]],
        well: &[&[("", 9.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "SignInsUnsyncedAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "SignInsSlowAlarm",
        trouble: &[&[("", 3001.0)]],
        well: &[&[("", 300.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "FunctionErrorsAlarm",
        trouble: &[
            &[("trigger", 1.0)],
            &[("endpoint", 1.0)],
            &[("reconcile", 1.0)],
            &[("trigger", 0.0), ("endpoint", 1.0)],
        ],
        well: &[&[("trigger", 0.0)], &[("trigger", 0.0), ("endpoint", 0.0), ("reconcile", 0.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "FunctionThrottlesAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[&[("", 0.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "HandoffErrorsAlarm",
        trouble: &[&[("", 5.0)]],
        well: &[&[("", 4.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "QueueAgeAlarm",
        trouble: &[&[("", 901.0)]],
        well: &[&[("", 900.0)], &[("", 0.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "DeadLettersAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[&[("", 0.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "ScheduleMissedAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[&[("", 0.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "BulkSyncFailedAlarm",
        trouble: &[
            &[("failed", 1.0)],
            &[("late", 1.0)],
            &[("failed", 1.0), ("late", 0.0), ("well", 0.0)],
            &[("failed", 1.0), ("well", 3.0)],
        ],
        well: &[&[("well", 1.0)], &[("failed", 0.0), ("late", 0.0), ("well", 2.0)]],
        stays: true,
        // AWS does not document whether it reports zeros along with the silence.
        neutral: &[&[("failed", 0.0)], &[("failed", 0.0), ("late", 0.0), ("well", 0.0)]],
    },
    Expected {
        alarm: "BulkSyncRefusedAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[&[("", 0.0)]],
        stays: true,
        neutral: &[],
    },
    Expected {
        alarm: "BulkSyncNotConvergedAlarm",
        trouble: &[&[("", 1.0)]],
        well: &[],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "TriggersMissingAlarm",
        trouble: &[&[("", 1.0)], &[("", 2.0)]],
        well: &[&[("", 0.0)]],
        stays: true,
        neutral: &[],
    },
    Expected {
        alarm: "PdpLagAlarm",
        trouble: &[&[("", 60.0)], &[("", 75.0)]],
        well: &[&[("", 0.1)], &[("", 59.0)]],
        stays: true,
        neutral: &[],
    },
    Expected {
        alarm: "PermitThrottledAlarm",
        trouble: &[
            &[("trigger", 10.0)],
            &[("bulk", 10.0)],
            &[("endpoint", 4.0), ("reconcile", 3.0), ("trigger", 3.0)],
        ],
        well: &[&[("trigger", 4.0), ("bulk", 5.0)]],
        stays: false,
        neutral: &[],
    },
    Expected {
        alarm: "MonthlyActiveUsersAlarm",
        trouble: &[&[("mau", 800.0), ("limit", 1000.0)]],
        well: &[&[("mau", 799.0), ("limit", 1000.0)]],
        stays: true,
        // A plan without a limit.
        neutral: &[&[("mau", 800.0)]],
    },
];

#[test]
fn every_alarm_rings_when_it_should_and_clears_when_it_should() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let there = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm")
        .map(|(name, _)| name.as_str())
        .collect::<BTreeSet<_>>();
    assert_eq!(there, ALARMS.iter().map(|expected| expected.alarm).collect(), "left is template.yaml");

    for Expected { alarm: name, trouble, well, stays, neutral } in ALARMS {
        let alarm = Alarm::new(&resources[*name]["Properties"]);
        assert!(!trouble.is_empty(), "{name}");
        for trouble in *trouble {
            assert_eq!(alarm.run(State::Ok, &[]), State::Ok, "{name}: silence rings nothing");
            let rung = alarm.hold(State::Ok, trouble);
            assert_eq!(rung, State::Alarm, "{name}: {trouble:?} rings");
            let silent = alarm.run(rung, &[Figures::default(); 30]);
            let expected = if *stays { State::Alarm } else { State::Ok };
            assert_eq!(silent, expected, "{name}: after {trouble:?}, thirty silent periods");
            for neutral in *neutral {
                assert_eq!(alarm.hold(rung, neutral), State::Alarm, "{name}: {neutral:?} says nothing");
                assert_eq!(alarm.hold(State::Ok, neutral), State::Ok, "{name}: {neutral:?} says nothing");
            }
            for well in *well {
                assert_eq!(alarm.hold(rung, well), State::Ok, "{name}: {well:?} clears {trouble:?}");
                assert_eq!(alarm.hold(State::Ok, well), State::Ok, "{name}: {well:?} rings nothing");
            }
        }
        if alarm.periods > 1 {
            let one_bad = alarm.run(State::Ok, &[&[], trouble[0], &[]]);
            assert_eq!(one_bad, State::Ok, "{name}: one bad period is not enough");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ok,
    Alarm,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Missing {
    NotBreaching,
    Ignore,
}

struct Alarm {
    /// The one expression, or the one metric `""`.
    expression: Expression,
    periods: usize,
    threshold: f64,
    or_equal: bool,
    missing: Missing,
}

impl Alarm {
    fn new(properties: &Value) -> Self {
        let expression = match properties["Metrics"].as_array() {
            None => Expression::Metric(String::new()),
            Some(metrics) => {
                let returned: Vec<_> =
                    metrics.iter().filter(|metric| metric["ReturnData"] != false).collect();
                assert_eq!(returned.len(), 1, "an alarm watches one series");
                let known: BTreeSet<_> =
                    metrics.iter().map(|metric| metric["Id"].as_str().unwrap()).collect();
                let expression = parse(returned[0]["Expression"].as_str().unwrap());
                for id in expression.metrics() {
                    assert!(known.contains(id.as_str()), "{id} is no metric of the alarm");
                }
                expression
            }
        };
        assert!(properties["DatapointsToAlarm"].is_null(), "all of the periods");
        Self {
            expression,
            periods: usize::try_from(properties["EvaluationPeriods"].as_u64().unwrap()).unwrap(),
            threshold: properties["Threshold"].as_f64().unwrap(),
            or_equal: match properties["ComparisonOperator"].as_str().unwrap() {
                "GreaterThanOrEqualToThreshold" => true,
                "GreaterThanThreshold" => false,
                other => panic!("{other} is not read here"),
            },
            missing: match properties["TreatMissingData"].as_str().unwrap() {
                "notBreaching" => Missing::NotBreaching,
                "ignore" => Missing::Ignore,
                other => panic!("{other} is not read here"),
            },
        }
    }

    /// The state after these figures have lasted for as many periods as the alarm looks at.
    fn hold(&self, state: State, figures: Figures<'_>) -> State {
        self.run(state, &vec![figures; self.periods])
    }

    /// The state after these periods, evaluated at the end of each, with silence before them.
    fn run(&self, mut state: State, series: &[Figures<'_>]) -> State {
        let silence: Vec<Figures<'_>> = vec![&[]; self.periods];
        let series: Vec<Figures<'_>> = silence.iter().chain(series).copied().collect();
        for window in series.windows(self.periods).skip(1) {
            let values =
                window.iter().map(|figures| self.expression.value(&figures.iter().copied().collect()));
            let breaching: Vec<Option<bool>> = values
                .map(|value| {
                    value.map(|value| value > self.threshold || self.or_equal && value >= self.threshold)
                })
                .collect();
            let is_missing = |breaches: &&Option<bool>| breaches.is_none();
            if self.missing == Missing::Ignore && breaching.iter().any(|breaches| is_missing(&breaches)) {
                continue;
            }
            let rings = breaching.iter().all(|breaches| breaches.unwrap_or(false));
            state = if rings { State::Alarm } else { State::Ok };
        }
        state
    }
}

/// Metric math: numbers, metrics, `+ - * /`, parentheses, `FILL(metric, number)`.
#[derive(Debug)]
enum Expression {
    Number(f64),
    Metric(String),
    Fill(Box<Expression>, f64),
    Binary(Box<Expression>, char, Box<Expression>),
}

impl Expression {
    /// The value of one period. `None` for a missing operand or a division by zero.
    fn value(&self, figures: &BTreeMap<&str, f64>) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Metric(id) => figures.get(id.as_str()).copied(),
            Self::Fill(series, number) => series.value(figures).or(Some(*number)),
            Self::Binary(left, operator, right) => {
                let (left, right) = (left.value(figures)?, right.value(figures)?);
                match operator {
                    '+' => Some(left + right),
                    '-' => Some(left - right),
                    '*' => Some(left * right),
                    '/' => (right != 0.0).then(|| left / right),
                    other => panic!("{other} is not read here"),
                }
            }
        }
    }

    fn metrics(&self) -> Vec<&String> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Metric(id) => vec![id],
            Self::Fill(series, _) => series.metrics(),
            Self::Binary(left, _, right) => [left.metrics(), right.metrics()].concat(),
        }
    }
}

fn parse(text: &str) -> Expression {
    let tokens = tokens(text);
    let mut rest = tokens.as_slice();
    let expression = sum(&mut rest);
    assert!(rest.is_empty(), "{text}: {rest:?} is not read");
    expression
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for letter in text.chars() {
        let is_word = letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
        match tokens.last_mut() {
            Some(word) if is_word && in_word => word.push(letter),
            _ if letter.is_whitespace() => {}
            _ => tokens.push(letter.to_string()),
        }
        in_word = is_word;
    }
    tokens
}

fn sum(rest: &mut &[String]) -> Expression {
    chain(rest, "+-", product)
}

fn product(rest: &mut &[String]) -> Expression {
    chain(rest, "*/", atom)
}

fn chain(rest: &mut &[String], operators: &str, operand: fn(&mut &[String]) -> Expression) -> Expression {
    let mut left = operand(rest);
    while let Some(operator) = rest.first().filter(|token| operators.contains(token.as_str())).cloned() {
        *rest = &rest[1..];
        left = Expression::Binary(Box::new(left), operator.chars().next().unwrap(), Box::new(operand(rest)));
    }
    left
}

fn atom(rest: &mut &[String]) -> Expression {
    let (token, after) = rest.split_first().unwrap();
    *rest = after;
    match token.as_str() {
        "(" => {
            let inner = sum(rest);
            expect(rest, ")");
            inner
        }
        "FILL" => {
            expect(rest, "(");
            let series = sum(rest);
            expect(rest, ",");
            let Expression::Number(number) = atom(rest) else { panic!("FILL takes a number") };
            expect(rest, ")");
            Expression::Fill(Box::new(series), number)
        }
        word => word.parse().map_or_else(|_| Expression::Metric(word.to_owned()), Expression::Number),
    }
}

fn expect(rest: &mut &[String], token: &str) {
    assert_eq!(rest.first().map(String::as_str), Some(token));
    *rest = &rest[1..];
}
