//! From the API's attribute names to `ORDER BY`.

use super::ListError;

/// How many attributes a list may be ordered by.
const ORDERS_MAX: usize = 10;

/// An attribute of the API and the column, or expression, that holds it.
pub(crate) type Orderable = (&'static str, &'static str);

/// Columns with their directions; the last one is unique, so that the order is total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) keys: Vec<Key>,
}

/// One column of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) column: &'static str,
    pub(crate) descending: bool,
}

impl Order {
    /// Reads `order_by`; without one, `default` is meant. The columns of `primary` end the order,
    /// in the direction of the first key.
    pub(crate) fn parse(
        allowed: &'static [Orderable],
        default: &str,
        primary: &[&'static str],
        order_by: &[String],
    ) -> Result<Self, ListError> {
        if order_by.len() > ORDERS_MAX {
            return Err(ListError::TooManyOrders {
                max: ORDERS_MAX,
                given: order_by.to_vec(),
            });
        }
        let default = [default.to_owned()];
        let names = if order_by.is_empty() {
            &default
        } else {
            order_by
        };
        let mut keys = Vec::with_capacity(names.len() + primary.len());
        for name in names {
            let attribute = name.trim_start_matches(['-', '+']);
            let column = allowed.iter().find(|(known, _)| *known == attribute);
            let (_, column) =
                column.ok_or_else(|| ListError::UnknownOrder(attribute.to_owned()))?;
            keys.push(Key {
                column,
                descending: name.starts_with('-'),
            });
        }
        let descending = keys.first().is_some_and(|key| key.descending);
        for column in primary {
            if !keys.iter().any(|key| key.column == *column) {
                keys.push(Key { column, descending });
            }
        }
        Ok(Self { keys })
    }

    pub(crate) fn sql(&self) -> String {
        let keys: Vec<String> = self
            .keys
            .iter()
            .map(|key| format!("{}{}", key.column, direction(key.descending)))
            .collect();
        keys.join(", ")
    }
}

pub(crate) fn direction(descending: bool) -> &'static str {
    if descending { " DESC" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::{Order, Orderable};

    const ALLOWED: &[Orderable] = &[("id", "id"), ("state", "state")];

    fn order(order_by: &[&str]) -> Result<String, String> {
        let order_by: Vec<String> = order_by.iter().map(ToString::to_string).collect();
        Order::parse(ALLOWED, "id", &["id"], &order_by)
            .map(|order| order.sql())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_unique_column_ends_the_order_in_the_direction_of_the_first() {
        assert_eq!(order(&[]), Ok("id".to_owned()));
        assert_eq!(order(&["-state"]), Ok("state DESC, id DESC".to_owned()));
        assert_eq!(order(&["id", "-state"]), Ok("id, state DESC".to_owned()));
    }

    #[test]
    fn an_attribute_that_is_not_offered_is_named() {
        assert_eq!(
            order(&["-nothing"]),
            Err("Ordering with 'nothing' is disallowed or the attribute does not exist on the model".to_owned())
        );
        assert!(order(&["id"; 11]).unwrap_err().contains("more than 10"));
    }
}
