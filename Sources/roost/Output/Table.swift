/// Rows of text under column titles, aligned for reading.
///
/// Cells are made printable here, so no row can steer the terminal or break the table.
struct Table {
    /// A column's title and the side that its cells lean to.
    struct Column {
        var title: String
        var isNumber: Bool

        init(_ title: String, isNumber: Bool = false) {
            self.title = title
            self.isNumber = isNumber
        }
    }

    private let columns: [Column]
    private var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// Adds a row; nil is shown as nothing.
    mutating func append(_ cells: [String?]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        rows.append(cells.map { printable($0 ?? "") })
    }

    /// The table as text; lines are cut to `width` columns when it is given, which is only for a terminal.
    ///
    /// Columns in which no row has anything are left out.
    func text(width: Int?) -> String {
        let shown = columns.indices.filter { column in rows.isEmpty || rows.contains { !$0[column].isEmpty } }
        let widths = shown.map { column in
            rows.reduce(columns[column].title.count) { max($0, $1[column].unicodeScalars.count) }
        }
        var text = ""
        for row in [columns.map(\.title)] + rows {
            text += line(row, shown, widths, limit: width)
            text += "\n"
        }
        return text
    }

    private func line(_ row: [String], _ shown: [Int], _ widths: [Int], limit: Int?) -> String {
        var line = ""
        for (position, column) in shown.enumerated() {
            let padding = String(repeating: " ", count: widths[position] - row[column].unicodeScalars.count)
            let isLast = position == shown.count - 1
            line += columns[column].isNumber ? padding + row[column] : row[column] + (isLast ? "" : padding)
            if !isLast { line += "  " }
        }
        while line.utf8.last == UInt8(ascii: " ") { line.removeLast() }
        return limit.map { truncated(line, to: $0) } ?? line
    }
}

/// Names and values, one pair a line, the values aligned.
struct FieldList {
    private var fields: [(name: String, value: String)] = []

    /// Adds a field; nil and empty values are left out.
    mutating func append(_ name: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        fields.append((name, value))
    }

    /// The fields as text; a value of several lines is indented to its first one, and long lines are wrapped to
    /// `width` columns when it is given.
    func text(width: Int?) -> String {
        let nameWidth = fields.reduce(0) { max($0, $1.name.count) } + 3
        var text = ""
        for field in fields {
            let room = width.map { max($0 - nameWidth, 20) }
            let lines = field.value.split(separator: "\n", omittingEmptySubsequences: false)
                .flatMap { wrapped(printable(String($0)), to: room) }
            for (index, line) in lines.enumerated() {
                let name = index == 0 ? "\(field.name):" : ""
                text += name + String(repeating: " ", count: nameWidth - name.count) + line + "\n"
            }
        }
        return text
    }
}

/// Breaks a line at spaces so that no part is longer than `width`, unless a word alone is.
func wrapped(_ line: String, to width: Int?) -> [String] {
    guard let width, line.unicodeScalars.count > width else { return [line] }
    var lines: [String] = []
    var current = ""
    for word in line.split(separator: " ", omittingEmptySubsequences: false) {
        if !current.isEmpty, current.unicodeScalars.count + 1 + word.unicodeScalars.count > width {
            lines.append(current)
            current = String(word)
        } else {
            current += current.isEmpty ? String(word) : " \(word)"
        }
    }
    return lines + [current]
}
