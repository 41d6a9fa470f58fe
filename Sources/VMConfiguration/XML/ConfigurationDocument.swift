package import HyperVStorage

/// A place in a text, as editors count it.
package struct TextPosition: Hashable, Sendable {
    /// The line, from 1; CR LF, LF and CR each end one.
    package var line: Int
    /// The character of the line, from 1, in Unicode scalars.
    package var column: Int
}

extension TextPosition: CustomStringConvertible {
    /// `line 3, column 7`.
    package var description: String { "line \(line), column \(column)" }
}

/// A version 5.0 configuration as ``ConfigurationXML/parse(_:)`` found it.
package struct ConfigurationDocument: Hashable, Sendable {
    /// How a text is stored; what its first line claims does not matter.
    package enum Encoding: String, Hashable, Sendable, CaseIterable {
        /// UTF-16, least significant byte first, as Hyper-V writes it.
        case utf16LittleEndian
        /// UTF-16, most significant byte first.
        case utf16BigEndian
        /// UTF-8, of which ASCII is a part.
        case utf8
    }

    /// Something that Hyper-V would not have written, and that writing the file again does away with.
    package struct Remark: Hashable, Sendable {
        /// Where it is.
        package var position: TextPosition
        /// What it is: lower case, without a full stop.
        package var message: String
    }

    /// The root element with everything below it, in the order of the file.
    package var root: KeyNode
    /// How the text is stored.
    package var encoding: Encoding
    /// Whether the text begins with a byte order mark.
    package var hasByteOrderMark: Bool
    /// What was tolerated, in the order of the file; at most 100 remarks, the last of which then counts the others.
    package var remarks: [Remark]
}

extension ConfigurationDocument.Remark: CustomStringConvertible {
    /// The place and the message.
    package var description: String { "\(position): \(message)" }
}
