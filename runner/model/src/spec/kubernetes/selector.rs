//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Whether a selector selects what has these labels. An empty one selects all.
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut rest = selector.match_expressions.iter().flatten();
    equal.all(|(k, v)| labels.get(k) == Some(v)) && rest.all(|r| holds(r, labels))
}

/// What an expression asks for. An operator that Kubernetes does not have selects nothing.
fn holds(expression: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&expression.key);
    let mut values = expression.values.iter().flatten();
    match expression.operator.as_str() {
        "In" => values.any(|v| Some(v) == value),
        "NotIn" => values.all(|v| Some(v) != value),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// The keys that a selector asks for.
pub fn keys(selector: &LabelSelector) -> impl Iterator<Item = &String> {
    let equal = selector.match_labels.iter().flatten().map(|(k, _)| k);
    let rest = selector.match_expressions.iter().flatten();
    equal.chain(rest.map(|r| &r.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_those_of_kubernetes() {
        let labels: Labels = [("tier".to_owned(), "app".to_owned())].into();
        for (key, operator, values, wanted) in [
            ("tier", "In", vec!["app", "data"], true),
            ("tier", "In", vec!["data"], false),
            ("none", "In", vec!["app"], false),
            ("tier", "NotIn", vec!["data"], true),
            ("tier", "NotIn", vec!["app"], false),
            ("none", "NotIn", vec!["app"], true),
            ("tier", "Exists", vec![], true),
            ("none", "Exists", vec![], false),
            ("tier", "DoesNotExist", vec![], false),
            ("none", "DoesNotExist", vec![], true),
            ("tier", "Like", vec!["app"], false),
        ] {
            let requirement = LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
            };
            let selector = LabelSelector {
                match_expressions: Some(vec![requirement]),
                match_labels: None,
            };
            let got = selects(&selector, &labels);
            assert_eq!(got, wanted, "{key} {operator} {values:?}");
        }
        assert!(selects(&LabelSelector::default(), &labels));
    }
}
