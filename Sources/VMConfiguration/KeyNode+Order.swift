import HyperVStorage

extension KeyNode {
    /// The children in ordinal order of their names, as version 5.0 has them (upper case before `_` before lower
    /// case); those that share a name keep their order.
    var ordinallySortedChildren: [KeyNode] {
        let isSorted = zip(children, children.dropFirst()).allSatisfy { left, right in
            !right.name.utf8.lexicographicallyPrecedes(left.name.utf8)
        }
        if isSorted { return children }
        let sorted = children.enumerated().sorted { left, right in
            let (first, second) = (left.element.name.utf8, right.element.name.utf8)
            return first.elementsEqual(second) ? left.offset < right.offset : first.lexicographicallyPrecedes(second)
        }
        return sorted.map(\.element)
    }

    /// Puts the children of this node and of all below it in ordinal order.
    mutating func sortChildren() {
        for index in children.indices { children[index].sortChildren() }
        children = ordinallySortedChildren
    }
}
