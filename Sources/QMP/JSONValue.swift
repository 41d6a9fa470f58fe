/// A JSON value as QEMU's monitor and the guest agent exchange it.
///
/// Integers keep all 64 bits: a whole number that fits is an ``int(_:)``, one between 2^63 and 2^64 − 1 a
/// ``uint64(_:)``, any other number a ``double(_:)``. Use ``init(_:)-(UInt64)`` so that equal numbers are equal values.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    /// A whole number above `Int64.max`.
    case uint64(UInt64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// A whole number, in the case that its size asks for.
    package init(_ value: UInt64) {
        self = Int64(exactly: value).map(JSONValue.int) ?? .uint64(value)
    }

    /// An array of strings.
    package init(_ strings: [String]) {
        self = .array(strings.map(JSONValue.string))
    }
}

extension JSONValue {
    /// The truth value; nil for any other kind.
    package var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The whole number, when it fits; nil for any other kind and for a larger number.
    package var intValue: Int64? {
        if case .int(let value) = self { value } else { nil }
    }

    /// The whole number, when it is not negative; nil for any other kind.
    package var uint64Value: UInt64? {
        switch self {
        case .int(let value): UInt64(exactly: value)
        case .uint64(let value): value
        default: nil
        }
    }

    /// The number, rounded to the nearest `Double`; nil for any other kind.
    package var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .uint64(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The text; nil for any other kind.
    package var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The elements; nil for any other kind.
    package var arrayValue: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members; nil for any other kind.
    package var objectValue: [String: JSONValue]? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The member of that name; nil when there is none or the value is not an object.
    package subscript(key: String) -> JSONValue? {
        objectValue?[key]
    }

    /// The element at that index; nil when there is none or the value is not an array.
    package subscript(index: Int) -> JSONValue? {
        guard let elements = arrayValue, elements.indices.contains(index) else { return nil }
        return elements[index]
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }

    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package init(integerLiteral value: Int64) { self = .int(value) }

    package init(floatLiteral value: Double) { self = .double(value) }

    package init(stringLiteral value: String) { self = .string(value) }

    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// Of members with the same name the last one counts.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}
