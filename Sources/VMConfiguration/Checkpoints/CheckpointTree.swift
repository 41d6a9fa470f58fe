package import RoostPrimitives

/// The checkpoints of one virtual machine, by the checkpoint that each came from.
///
/// A parent that is not there counts as none, and a circle is cut: damaged records give a tree all the same.
package struct CheckpointTree: Sendable {
    /// A checkpoint and how deep it stands.
    package struct Row: Hashable, Sendable {
        package var id: GUID
        /// The number of its ancestors.
        package var depth: Int
    }

    /// What a checkpoint says of its place.
    package struct Place: Hashable, Sendable {
        package var id: GUID
        package var parent: GUID?
        /// When it was taken, in seconds since 1970.
        package var created: Int64

        package init(id: GUID, parent: GUID?, created: Int64) {
            self.id = id
            self.parent = parent
            self.created = created
        }
    }

    private var parents: [GUID: GUID] = [:]
    private var children: [GUID: [GUID]] = [:]
    private var roots: [GUID] = []

    /// The tree of some checkpoints; brothers stand in the order in which they were taken.
    package init(_ places: [Place]) {
        let wanted = Dictionary(places.map { ($0.id, $0.parent) }) { first, _ in first }
        for place in places.sorted(by: { ($0.created, $0.id) < ($1.created, $1.id) }) {
            // One of a circle stands at the root: the first that is met.
            if let parent = place.parent, wanted[parent] != nil, !leads(from: parent, to: place.id) {
                parents[place.id] = parent
                children[parent, default: []].append(place.id)
            } else {
                roots.append(place.id)
            }
        }
    }

    /// Whether the parents known so far lead from one checkpoint to another.
    private func leads(from start: GUID, to end: GUID) -> Bool {
        var id: GUID? = start
        while let next = id {
            if next == end { return true }
            id = parents[next]
        }
        return false
    }

    /// All checkpoints, each behind its parent and before its younger brothers.
    package var rows: [Row] {
        var rows: [Row] = []
        var open = roots.reversed().map { Row(id: $0, depth: 0) }
        while let row = open.popLast() {
            rows.append(row)
            open += (children[row.id] ?? []).reversed().map { Row(id: $0, depth: row.depth + 1) }
        }
        return rows
    }

    /// The checkpoint that one came from.
    package func parent(of id: GUID) -> GUID? { parents[id] }

    /// The checkpoints that came from one, the oldest first.
    package func children(of id: GUID) -> [GUID] { children[id] ?? [] }

    /// A checkpoint with all that came from it, the farthest first: the order in which they can go.
    package func subtree(_ id: GUID) -> [GUID] {
        var result: [GUID] = []
        var open = [id]
        while let next = open.popLast() {
            result.append(next)
            open += children(of: next)
        }
        return result.reversed()
    }
}
