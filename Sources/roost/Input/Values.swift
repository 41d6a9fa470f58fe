import ArgumentParser
import RoostPrimitives

/// Readers of option values; each throws a `ValidationError` that says what is expected.
enum Value {
    /// An amount of memory in whole MiB, as `512MiB` or `2GiB`.
    static func memoryMiB(_ text: String) throws -> UInt64 {
        guard let count = ByteCount(text), count.bytes > 0, count.bytes % (1 << 20) == 0 else {
            throw ValidationError("it is no whole number of MiB: write it as in 512MiB or 2GiB.")
        }
        return count.wholeMebibytes
    }

    /// An amount of storage in bytes, as `10GiB`.
    static func sizeBytes(_ text: String) throws -> UInt64 {
        guard let count = ByteCount(text), count.bytes > 0 else {
            throw ValidationError("it is no size: write it as in 10GiB or 512MiB.")
        }
        return count.bytes
    }

    /// A whole number within bounds.
    static func number(_ bounds: ClosedRange<Int>) -> @Sendable (String) throws -> Int {
        { text in
            guard let number = Int(text), bounds.contains(number) else {
                throw ValidationError("it is no whole number from \(bounds.lowerBound) to \(bounds.upperBound).")
            }
            return number
        }
    }

    /// One of a type's values, in any case of letters.
    static func choice<Choice: Sendable>(_: Choice.Type) -> @Sendable (String) throws -> Choice
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        let choices = Array(Choice.allCases)
        return { text in
            if let choice = choices.first(where: { $0.rawValue.lowercased() == text.lowercased() }) {
                return choice
            }
            throw ValidationError("it is none of \(choices.map(\.rawValue).joined(separator: ", ")).")
        }
    }

    /// The names of a type's values, for help and completion.
    static func names<Choice>(of _: Choice.Type) -> [String]
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        Choice.allCases.map(\.rawValue)
    }

    /// How often something happens, in minutes: as `90m`, `4h` or `1d`; `off` is 0.
    static func minutes(_ text: String) throws -> Int {
        if text.lowercased() == "off" { return 0 }
        let factors: [Character: Int] = ["m": 1, "h": 60, "d": 1440]
        guard let factor = text.last.flatMap({ factors[$0] }), let count = Int(text.dropLast()), count > 0,
            count <= 527_040 / factor
        else { throw ValidationError("it is no time from 1m to 366d: write it as in 90m, 4h or 1d, or off.") }
        return count * factor
    }

    /// An integration service and whether it is to be offered, as `Heartbeat=off`.
    static func integrationService(_ text: String) throws -> IntegrationServiceSwitch {
        guard let split = text.lastIndex(of: "="), split > text.startIndex else {
            throw ValidationError("it has another form than NAME=on or NAME=off.")
        }
        let name = String(text[..<split])
        switch text[text.index(after: split)...].lowercased() {
        case "on": return IntegrationServiceSwitch(name: name, isOn: true)
        case "off": return IntegrationServiceSwitch(name: name, isOn: false)
        default: throw ValidationError("it has another form than NAME=on or NAME=off.")
        }
    }

    /// Names with commas between them.
    static func list(_ text: String) throws -> [String] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { trimmed($0) }
        guard parts.allSatisfy({ !$0.isEmpty }) else {
            throw ValidationError("it has an empty element: write it as in a,b,c.")
        }
        return parts
    }

    /// Whether text is a drive's location, as `scsi:0:1`.
    static func isLocation(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, ["ide", "scsi", "floppy"].contains(parts[0].lowercased()) else { return false }
        return parts.dropFirst().allSatisfy { Int($0).map { $0 >= 0 } ?? false }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

/// An integration service and whether it is to be offered.
struct IntegrationServiceSwitch: Equatable {
    var name: String
    var isOn: Bool
}
