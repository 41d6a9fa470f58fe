import RoostPrimitives

extension Variable.Key {
    /// The platform key: with one, the firmware is in user mode and Secure Boot can be on.
    package static let platformKey = Variable.Key("PK", .globalVariable)
    /// The keys whose owners may change `db` and `dbx`.
    package static let keyExchangeKeys = Variable.Key("KEK", .globalVariable)
    /// What may start.
    package static let allowedSignatures = Variable.Key("db", .imageSecurityDatabase)
    /// What may not start, whatever `db` says.
    package static let forbiddenSignatures = Variable.Key("dbx", .imageSecurityDatabase)
    /// EDK2's switch for Secure Boot: one byte, 0 or 1.
    static let secureBootEnable = Variable.Key("SecureBootEnable", .secureBootEnableDisable)
    /// EDK2's permission to change keys without a signature: one byte, 0 or 1.
    static let customMode = Variable.Key("CustomMode", .customModeEnable)
}

/// What a variable store says about Secure Boot.
package struct SecureBootState: Hashable, Sendable {
    /// Whether the firmware will verify what it starts.
    package let isEnabled: Bool

    /// Whether there is no platform key, so that anyone may set one.
    package let isSetupMode: Bool

    /// The certificates of `db`: the authorities whose signatures start.
    package let authorities: [Certificate]

    /// The number of entries of `dbx`.
    package let forbiddenCount: Int

    /// The template whose certificates, and no other signatures, `db` holds.
    ///
    /// Nil for any other mixture. A `db` without any certificate of Microsoft counts as
    /// ``SecureBootKeySet/openSourceShieldedVM``.
    package let template: SecureBootKeySet?
}

extension VariableStore {
    /// What the store says about Secure Boot.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` when `db` or `dbx` cannot be read.
    package func secureBootState() throws(VariableStoreError) -> SecureBootState {
        let allowed = try signatureLists(.allowedSignatures)
        let forbidden = try signatureLists(.forbiddenSignatures)
        let hasPlatformKey = self[.platformKey]?.data.isEmpty == false
        // EDK2 turns Secure Boot on when there is a platform key and nobody has used the switch yet.
        let isSwitchedOn = self[.secureBootEnable].map { $0.data == [1] } ?? true
        return SecureBootState(
            isEnabled: hasPlatformKey && isSwitchedOn,
            isSetupMode: !hasPlatformKey,
            authorities: SignatureList.certificates(in: allowed),
            forbiddenCount: forbidden.reduce(0) { $0 + $1.signatures.count },
            template: Self.template(of: allowed)
        )
    }

    /// The store as a template wants it, with Secure Boot on.
    ///
    /// `db` holds exactly the certificates that the template trusts, taken from `source`, or exactly `certificates`
    /// for ``SecureBootKeySet/openSourceShieldedVM``. `PK`, `KEK` and `dbx` stay, or come from `source` where the
    /// store has none. All other variables stay.
    ///
    /// - Parameters:
    ///   - template: the template.
    ///   - source: a store with Microsoft's certificates, such as the host's `OVMF_VARS_4M.ms.fd`; nil for this store.
    ///   - certificates: the owner's certificates.
    /// - Throws: ``VariableStoreError/Code/missingKey`` when the keys are in neither store,
    ///   ``VariableStoreError/Code/invalidArgument`` when `certificates` do not fit the template,
    ///   ``VariableStoreError/Code/corrupt`` when the source's `db` cannot be read.
    package func applyingTemplate(
        _ template: SecureBootKeySet,
        from source: VariableStore? = nil,
        certificates: [Certificate] = []
    ) throws(VariableStoreError) -> VariableStore {
        let source = source ?? self
        let trusted = try Self.signatures(template, source: source, certificates: certificates)
        var store = self
        for key in [Variable.Key.platformKey, .keyExchangeKeys, .forbiddenSignatures, .allowedSignatures]
        where (store[key]?.data ?? []).isEmpty {
            store[key] = source[key]
        }
        for key in [Variable.Key.platformKey, .keyExchangeKeys] where (store[key]?.data ?? []).isEmpty {
            throw VariableStoreError(
                .missingKey,
                "cannot apply the Secure Boot template \(template.rawValue): the base variable store has no "
                    + "\(String(decoding: key.nameUnits, as: UTF16.self)); use one with keys, such as OVMF_VARS_4M.ms.fd"
            )
        }
        guard var database = store[.allowedSignatures] else {
            throw VariableStoreError(
                .missingKey,
                "cannot apply the Secure Boot template \(template.rawValue): the base variable store has no db; "
                    + "use one with keys, such as OVMF_VARS_4M.ms.fd"
            )
        }
        database.data = try SignatureList.serialize(trusted)
        // A variable without data does not exist: then nothing is trusted, as wanted without certificates.
        store[.allowedSignatures] = trusted.isEmpty ? nil : database
        store.setSecureBoot(enabled: true)
        return store
    }

    /// Turns Secure Boot on or off, as the firmware's set-up does; the keys stay.
    ///
    /// Without a platform key, Secure Boot stays off in any case.
    package mutating func setSecureBoot(enabled: Bool) {
        setSwitch(.secureBootEnable, to: enabled ? 1 : 0)
        setSwitch(.customMode, to: 0)
    }

    /// The signature lists of a variable; none when the store has no such variable.
    ///
    /// - Throws: ``VariableStoreError/Code/corrupt`` for data that is no signature lists.
    package func signatureLists(_ key: Variable.Key) throws(VariableStoreError) -> [SignatureList] {
        guard let variable = self[key] else { return [] }
        do throws(VariableStoreError) {
            return try SignatureList.parse(variable.data)
        } catch {
            throw VariableStoreError(
                error.code,
                "cannot read the signatures of the variable \"\(variable.name)\"",
                cause: error
            )
        }
    }

    private mutating func setSwitch(_ key: Variable.Key, to value: UInt8) {
        if self[key] != nil {
            self[key]?.data = [value]
        } else {
            variables.append(
                Variable(
                    key: key,
                    attributes: [.nonVolatile, .bootServiceAccess],
                    data: [value],
                    timestamp: .zero,
                    monotonicCount: 0,
                    publicKeyIndex: 0
                )
            )
        }
    }

    /// What `db` holds under a template: one list for each certificate, as their sizes differ.
    private static func signatures(
        _ template: SecureBootKeySet,
        source: VariableStore,
        certificates: [Certificate]
    ) throws(VariableStoreError) -> [SignatureList] {
        if template == .openSourceShieldedVM {
            return distinct(certificates.map { SignatureList.Signature(owner: .roostSignatureOwner, data: $0.der) })
        }
        guard certificates.isEmpty else {
            throw VariableStoreError(
                .invalidArgument,
                "the Secure Boot template \(template.rawValue) takes no certificates of the owner; "
                    + "use \(SecureBootKeySet.openSourceShieldedVM.rawValue)"
            )
        }
        let wanted = template.trustedSubjects
        let found = try source.signatureLists(.allowedSignatures).filter { $0.type == .x509Certificate }
            .flatMap(\.signatures).filter { wanted.contains(subject($0) ?? "") }
        guard !found.isEmpty else {
            let names = wanted.map { "\"\($0)\"" }.joined(separator: " nor ")
            throw VariableStoreError(
                .missingKey,
                "cannot apply the Secure Boot template \(template.rawValue): the db of the base variable store has "
                    + "neither \(names); use one with Microsoft's keys, such as OVMF_VARS_4M.ms.fd"
            )
        }
        return distinct(found)
    }

    private static func distinct(_ signatures: [SignatureList.Signature]) -> [SignatureList] {
        var seen: Set<[UInt8]> = []
        return signatures.filter { seen.insert($0.data).inserted }
            .map { SignatureList(type: .x509Certificate, signatures: [$0]) }
    }

    private static func subject(_ signature: SignatureList.Signature) -> String? {
        (try? Certificate(der: signature.data))?.subject
    }

    /// The template that describes a `db`.
    private static func template(of lists: [SignatureList]) -> SecureBootKeySet? {
        guard !lists.isEmpty, lists.allSatisfy({ $0.type == .x509Certificate }) else { return nil }
        let subjects = lists.flatMap(\.signatures).map { subject($0) ?? "" }
        let microsoft = SecureBootKeySet.allCases.filter { template in
            subjects.contains { template.trustedSubjects.contains($0) }
        }
        guard let template = microsoft.first else { return .openSourceShieldedVM }
        let isPure = microsoft.count == 1 && subjects.allSatisfy(template.trustedSubjects.contains)
        return isPure ? template : nil
    }
}
