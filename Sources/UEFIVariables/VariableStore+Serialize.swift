import RoostPrimitives

extension VariableStore {
    /// The image with the variables written one behind the other and the rest of their space erased.
    ///
    /// The image keeps its size, and all bytes outside the variables' space are those that were parsed: the headers
    /// and the working and spare blocks.
    ///
    /// - Throws: ``VariableStoreError/Code/noSpace`` when the variables do not fit,
    ///   ``VariableStoreError/Code/invalidArgument`` for an empty name, a name with a zero, or two equal names.
    package func serialized() throws(VariableStoreError) -> [UInt8] {
        var image = image
        var keys: Set<Variable.Key> = []
        var offset = region.lowerBound
        for index in region { image[index] = VariableStoreLayout.erased }
        for variable in variables {
            guard !variable.key.nameUnits.isEmpty, !variable.key.nameUnits.contains(0) else {
                throw VariableStoreError(
                    .invalidArgument,
                    "cannot write the variable \"\(variable.name)\": its name is empty or has a zero"
                )
            }
            guard keys.insert(variable.key).inserted else {
                throw VariableStoreError(.invalidArgument, "cannot write the variable \"\(variable.name)\" twice")
            }
            let record = Self.record(variable)
            guard offset <= region.upperBound, record.count <= region.upperBound - offset else {
                throw VariableStoreError(
                    .noSpace,
                    "cannot write the variable \"\(variable.name)\" of \(variable.data.count) bytes: "
                        + "the store has room for \(capacity) bytes in all"
                )
            }
            image.replaceSubrange(offset..<(offset + record.count), with: record)
            offset = VariableStoreLayout.aligned(offset + record.count)
        }
        return image
    }

    /// The header, the name and the data of a variable that is in place.
    private static func record(_ variable: Variable) -> [UInt8] {
        var record: [UInt8] = []
        record.append(littleEndian: VariableStoreLayout.startID)
        record += [VariableStoreLayout.added, 0]
        record.append(littleEndian: variable.attributes.rawValue)
        record.append(littleEndian: variable.monotonicCount)
        record += variable.timestamp.bytes
        record.append(littleEndian: variable.publicKeyIndex)
        record.append(littleEndian: UInt32(truncatingIfNeeded: variable.key.nameUnits.count * 2 + 2))
        record.append(littleEndian: UInt32(truncatingIfNeeded: variable.data.count))
        record += variable.vendor.littleEndianBytes
        for unit in variable.key.nameUnits + [0] { record.append(littleEndian: unit) }
        return record + variable.data
    }
}
