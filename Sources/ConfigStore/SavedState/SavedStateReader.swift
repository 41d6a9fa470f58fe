package import DurableFiles
import HyperVStorage

/// Reads a saved state, chunk by chunk, and believes none whose checksums fail.
///
/// For one thread.
package final class SavedStateReader {
    package let info: SavedStateInfo
    private let path: String
    private let file: DurableFile
    private var segments: [Range<Int>] = []
    private var number: UInt32 = 0
    private var size: UInt64 = 0

    /// Opens a file and reads what it is of.
    ///
    /// - Throws: `StoreError` `.notFound`, and `.corrupt` for a file that is damaged or not complete.
    package init(_ path: String, in files: any FileSystem = FileAccess.system) throws(StoreError) {
        self.path = path
        func damaged(_ reason: String) -> StoreError {
            StoreError(.corrupt, "the saved state \(path) is damaged", cause: reason)
        }
        do throws(FileError) {
            file = try DurableFile(path, for: .reading(followingLinks: false), in: files)
        } catch {
            throw StoreError(error)
        }
        let (bytes, size) = try Self.head(file, path)
        let head: (tree: KeyNode, placed: [String: Range<Int>])
        do throws(StorageError) {
            head = try StorageFile.head(of: bytes, fileSize: size)
        } catch {
            throw damaged(error.message)
        }
        guard let info = SavedStateInfo(tree: head.tree), let count = SavedStateInfo.segments(in: head.tree) else {
            throw damaged("its keys are none of a saved state that this release can read")
        }
        self.info = info
        for number in 0..<count {
            guard let area = head.placed["\(SavedStateInfo.segment)\(number)"] else {
                throw damaged("the part \(number) of its stream is missing")
            }
            segments.append(area)
        }
    }

    private static func head(_ file: borrowing DurableFile, _ path: String) throws(StoreError) -> ([UInt8], Int) {
        do throws(FileError) {
            return (try file.read(at: 0, count: StorageFile.headSize), try file.size())
        } catch {
            throw Self.error(error, path)
        }
    }

    /// What the device cannot read is damaged for whoever needs it.
    private static func error(_ error: FileError, _ path: String) -> StoreError {
        guard error.code == .unreadable else { return StoreError(error) }
        return StoreError(.corrupt, "the saved state \(path) is damaged", cause: error.description)
    }

    /// The next piece of the stream; nil at its end.
    ///
    /// - Throws: `StoreError` `.corrupt` with the place of what is damaged.
    package func next() throws(StoreError) -> [UInt8]? {
        while let segment = segments.first, segment.isEmpty { segments.removeFirst() }
        guard let segment = segments.first else {
            guard UInt64(number) == info.chunks, size == info.streamSize else {
                throw damaged("it ends after \(size) bytes of \(info.streamSize)", at: segments.last?.upperBound)
            }
            return nil
        }
        let place = segment.lowerBound
        guard segment.count >= StateChunk.headerSize,
            let chunk = StateChunk(try read(place, StateChunk.headerSize)), chunk.stamp == info.stamp,
            chunk.number == number, chunk.storedSize <= segment.count - StateChunk.headerSize
        else { throw damaged("the piece \(number) is not there", at: place) }
        guard let contents = chunk.contents(try read(place + StateChunk.headerSize, chunk.storedSize)) else {
            throw damaged("the piece \(number) has another checksum", at: place)
        }
        segments[0] = place + StateChunk.headerSize + chunk.storedSize..<segment.upperBound
        number += 1
        size += UInt64(contents.count)
        return contents
    }

    private func read(_ offset: Int, _ count: Int) throws(StoreError) -> [UInt8] {
        do throws(FileError) {
            return try file.read(at: UInt64(offset), count: count)
        } catch {
            throw Self.error(error, path)
        }
    }

    private func damaged(_ reason: String, at offset: Int?) -> StoreError {
        let place = offset.map { " at 0x\(String($0, radix: 16, uppercase: true))" } ?? ""
        return StoreError(.corrupt, "the saved state \(path) is damaged\(place)", cause: reason)
    }
}
