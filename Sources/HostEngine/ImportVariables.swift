import ConfigStore
import UEFIVariables
import VMConfiguration

/// The bytes of a file with UEFI variables as Roost keeps them.
///
/// - Throws: `VariableStoreError` for a file of another kind.
func readVariables(_ path: String) throws -> [UInt8] {
    let bytes = try FileAccess.read(path, limit: 64 << 20, followingLinks: false)
    try checkVariables(bytes)
    return bytes
}

/// Makes sure that bytes are a whole variable store.
func checkVariables(_ bytes: [UInt8]) throws { _ = try VariableStore(parsing: bytes) }

/// A variable store with more variables, in place of those of the same names.
func addingVariables(_ variables: [UEFIVariable], to bytes: [UInt8]) throws -> [UInt8] {
    var store = try VariableStore(parsing: bytes)
    for variable in variables {
        let added = Variable(
            variable.name,
            vendor: variable.vendor,
            attributes: .init(rawValue: variable.attributes),
            data: variable.data
        )
        store[added.key] = added
    }
    return try store.serialized()
}
