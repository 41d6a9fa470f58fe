package import RoostPrimitives

/// The identifiers that UEFI and EDK2 give to firmware volumes, variable namespaces and signature types.
extension GUID {
    /// The file system of a firmware volume that holds variables (EDK2 `gEfiSystemNvDataFvGuid`).
    static let systemNonVolatileData = known("FFF12B8D-7696-4C8B-A985-2747075B4F50")

    /// A store whose variables carry time stamps (EDK2 `gEfiAuthenticatedVariableGuid`).
    static let authenticatedVariableStore = known("AAF32C78-947B-439A-A180-2E144EC37792")

    /// A store whose variables carry none (EDK2 `gEfiVariableGuid`).
    static let plainVariableStore = known("DDCF3616-3275-4164-98B6-FE85707FFE7D")

    /// The namespace of `PK`, `KEK`, `BootOrder` and `Boot####` (UEFI section 3.3).
    package static let globalVariable = known("8BE4DF61-93CA-11D2-AA0D-00E098032B8C")

    /// The namespace of `db` and `dbx` (UEFI section 32.6.1).
    package static let imageSecurityDatabase = known("D719B2CB-3D3A-4596-A3BC-DAD00E67656F")

    /// The namespace of `SecureBootEnable` (EDK2 `gEfiSecureBootEnableDisableGuid`).
    package static let secureBootEnableDisable = known("F0A30BC7-AF08-4556-99C4-001009C93A44")

    /// The namespace of `CustomMode` (EDK2 `gEfiCustomModeEnableGuid`).
    package static let customModeEnable = known("C076EC0C-7028-4399-A072-71EE5C448B9F")

    /// A signature that is an X.509 certificate in DER (UEFI `EFI_CERT_X509_GUID`).
    package static let x509Certificate = known("A5C059A1-94E4-4AA7-87B5-AB155C2BF072")

    /// A signature that is the SHA-256 digest of an image (UEFI `EFI_CERT_SHA256_GUID`).
    package static let sha256Digest = known("C1C41626-504C-4092-ACA9-41F936934328")

    /// The owner that Roost writes beside certificates which a VM's owner supplied.
    package static let roostSignatureOwner = known("7C1D9B5E-5B0C-4A3B-9C52-3D1E5F6B8A27")

    private static func known(_ text: String) -> GUID { GUID(text) ?? .zero }
}
