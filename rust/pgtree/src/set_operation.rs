//! UNION, INTERSECT and EXCEPT: each output is the union of the arms at its position, and an operation
//! that compares rows is controlled by every column of the arms below it.

use crate::error::{Result, inconsistent, not_understood};
use crate::graph::{Form, Reads, SlotId};
use crate::schema::Tag;
use crate::tree::Node;
use crate::types;
use crate::walk::{Entry, ScopeId, Target, Walk};
use std::rc::Rc;

/// One leaf of a set operation.
struct Arm {
    /// Its number in the range table.
    entry: usize,
    outputs: Rc<[SlotId]>,
    types: Vec<u32>,
    /// The operation that compares its rows, if one does.
    compared: Option<&'static str>,
}

impl<'t> Walk<'t> {
    /// Fill the targets of a query whose rows a set operation makes.
    pub(crate) fn set_operation(&mut self, scope: ScopeId, top: Node<'t>) -> Result<()> {
        let kinds: Vec<u32> = top.oids("colTypes")?.collect();
        let mut arms = Vec::new();
        self.arms(scope, top, &kinds, None, &mut arms)?;
        let (targets, outputs) = {
            let scope = self.scope(scope)?;
            (scope.targets.clone(), scope.outputs.len())
        };
        if targets.len() != kinds.len() || outputs != kinds.len() {
            return Err(inconsistent("a set operation with targets of its own"));
        }
        let own = self.scope(scope)?.origin.own();
        for (position, ((target, slot), &kind)) in targets.into_iter().zip(&kinds).enumerate() {
            reference(target.node("expr")?, position, &arms)?;
            for arm in &arms {
                let (Some(&read), Some(&given)) =
                    (arm.outputs.get(position), arm.types.get(position))
                else {
                    return Err(inconsistent("an arm that is too narrow"));
                };
                let same = types::same_bytes(given, kind);
                let form = if same {
                    Form::Slot(read)
                } else {
                    Form::Computed
                };
                self.graph.fill(slot, &Reads::of(&[read]), form)?;
            }
            self.targets.push(Target {
                slot,
                own,
                passes: true,
            });
        }
        for arm in &arms {
            if let Some(place) = arm.compared {
                let control = self.control(scope, place)?;
                self.graph
                    .fill(control, &Reads::of(&arm.outputs), Form::Computed)?;
            }
        }
        Ok(())
    }

    fn arms(
        &mut self,
        scope: ScopeId,
        item: Node<'t>,
        wanted: &[u32],
        compared: Option<&'static str>,
        found: &mut Vec<Arm>,
    ) -> Result<()> {
        if item.tag()? == Tag::SetOperationStmt {
            let place = match (item.number("op")?, item.flag("all")?) {
                (1, true) => None,
                (1, false) => Some("UNION"),
                (2, _) => Some("INTERSECT"),
                (3, _) => Some("EXCEPT"),
                _ => return not_understood("a set operation that is not on the list"),
            };
            let kinds: Vec<u32> = item.oids("colTypes")?.collect();
            self.converts(&kinds, wanted);
            for side in ["larg", "rarg"] {
                self.arms(scope, item.node(side)?, &kinds, compared.or(place), found)?;
            }
            return Ok(());
        }
        let entry = item.index("rtindex")?;
        let within = self.scope(scope)?;
        let node = within.query.list("rtable")?.nth(entry.wrapping_sub(1));
        let offered = within.entries.get(entry.wrapping_sub(1));
        let (Some(node), Some(Entry::Columns { slots, .. })) = (node, offered) else {
            return Err(inconsistent("an arm that is not a subquery"));
        };
        let outputs = Rc::clone(slots);
        let mut given = Vec::new();
        for target in node.node("subquery")?.list("targetList")? {
            if !target.flag("resjunk")? {
                given.push(types::type_of(target.node("expr")?)?);
            }
        }
        self.converts(&given, wanted);
        found.push(Arm {
            entry,
            outputs,
            types: given,
            compared,
        });
        Ok(())
    }

    /// The planner converts an arm to the common type without the tree saying so.
    fn converts(&mut self, given: &[u32], wanted: &[u32]) {
        let differing = given
            .iter()
            .zip(wanted)
            .filter(|(given, wanted)| given != wanted);
        self.converted
            .extend(differing.flat_map(|(&given, &wanted)| [given, wanted]));
    }
}

/// The target of a set operation names a column of one of its arms, at the same position.
fn reference(expression: Node<'_>, position: usize, arms: &[Arm]) -> Result<()> {
    let plain = expression.tag()? == Tag::Var
        && expression.number("varlevelsup")? == 0
        && expression.index("varattno")? == position + 1;
    let entry = if plain {
        Some(expression.index("varno")?)
    } else {
        None
    };
    if arms.iter().any(|arm| Some(arm.entry) == entry) {
        return Ok(());
    }
    Err(inconsistent("a computed target over a set operation"))
}
