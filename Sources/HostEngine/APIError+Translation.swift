import ConfigStore
import QEMUDriver
import QMP
package import RoostAPI
import UEFIVariables
import VMConfiguration

extension APIError {
    /// The error as the API reports it, whatever layer it comes from.
    package init(translating error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as EngineError: self.init(Self.code(error.code), error.message, cause: error.cause)
        case let error as StoreError: self.init(Self.code(error.code), error.message, cause: error.cause)
        case let error as ConfigurationError: self.init(Self.code(error.code), error.message)
        case let error as VariableStoreError: self.init(.corrupt, error.message)
        case let error as QMPError:
            self.init(error.code == .timedOut ? .timeout : .engineFailure, error.message)
        case is CancellationError: self.init(.cancelled, "the operation was cancelled")
        default: self.init(.internal, "an unexpected error", cause: "\(error)")
        }
    }

    private static func code(_ code: EngineError.Code) -> Code {
        switch code {
        case .exists: .exists
        case .notFound: .notFound
        case .unsupported: .unsupported
        case .permissionDenied: .permissionDenied
        case .busy: .busy
        case .insufficientResources: .insufficientResources
        case .invalidArgument: .invalidArgument
        case .corrupt: .corrupt
        case .timeout: .timeout
        case .failed: .engineFailure
        case .cancelled: .cancelled
        }
    }

    private static func code(_ code: StoreError.Code) -> Code {
        switch code {
        case .notFound: .notFound
        case .exists: .exists
        case .corrupt: .corrupt
        case .unsupported: .unsupported
        case .permissionDenied: .permissionDenied
        case .noSpace: .insufficientResources
        case .busy: .busy
        case .notDurable, .failed: .internal
        }
    }

    private static func code(_ code: ConfigurationError.Code) -> Code {
        switch code {
        case .notAConfiguration, .malformedFile: .corrupt
        case .unknownVersion, .unsupportedByVersion: .unsupported
        case .notFound: .notFound
        case .alreadyInUse: .exists
        case .invalidValue, .outOfBounds, .invalidName, .limitReached: .invalidArgument
        case .lossyConversion: .internal
        }
    }
}
