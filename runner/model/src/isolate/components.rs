//! The circles of a graph: what requires each other is taken as one.

/// The component of each node, by Kosaraju's two walks. A component that requires another has
/// the smaller number. Edges lead from what requires to what is required.
pub(super) fn components(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let (mut forth, mut back) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
    for (from, to) in edges {
        forth[*from].push(*to);
        back[*to].push(*from);
    }
    let mut finished = Vec::with_capacity(nodes);
    let mut seen = vec![false; nodes];
    for start in 0..nodes {
        walk(start, &forth, &mut seen, |node| finished.push(node));
    }
    let mut seen = vec![false; nodes];
    let mut component = vec![0; nodes];
    let mut next = 0;
    for start in finished.into_iter().rev() {
        if !seen[start] {
            walk(start, &back, &mut seen, |node| component[node] = next);
            next += 1;
        }
    }
    component
}

/// Walks into the depth, without recursion: a chain may be as long as there are differences.
fn walk(start: usize, edges: &[Vec<usize>], seen: &mut [bool], mut done: impl FnMut(usize)) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut open = vec![(start, 0)];
    while let Some((node, at)) = open.last_mut() {
        match edges[*node].get(*at) {
            Some(next) => {
                *at += 1;
                if !std::mem::replace(&mut seen[*next], true) {
                    open.push((*next, 0));
                }
            }
            None => {
                done(*node);
                open.pop();
            }
        }
    }
}
