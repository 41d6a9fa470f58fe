import RoostPrimitives
import Testing

@Suite struct ByteCountTests {
    @Test(
        arguments: [
            ("1073741824", 1 << 30), ("512MiB", 512 << 20), ("512MB", 512 << 20), ("512m", 512 << 20),
            ("1.5 GiB", 1536 << 20), ("0", 0), ("7b", 7), ("0.5k", 512), ("2TiB", 2 << 40),
        ] as [(String, UInt64)]
    ) func unitsAreReadAsPowersOf1024(text: String, bytes: UInt64) {
        #expect(ByteCount(text)?.bytes == bytes)
    }

    @Test(arguments: [
        "", "MiB", "-1", "1.5", "0.0001k", "1..5GiB", ".5GiB", "1.GiB", "5 PiB", "9223372036854775808", "8388608TiB",
        "1.1234567GiB", "٣MiB", "0x10",
    ]) func anyOtherTextIsRefused(text: String) {
        #expect(ByteCount(text) == nil)
    }

    @Test func descriptionUsesTheLargestFittingUnit() {
        #expect(ByteCount.mebibytes(512).description == "512 MiB")
        #expect(ByteCount.mebibytes(1536).description == "1.5 GiB")
        #expect(ByteCount(bytes: 37).description == "37 B")
        #expect(ByteCount(bytes: .max).description == "16777215.9 TiB")
    }

    @Test func scalingSaturates() {
        #expect(ByteCount.mebibytes(3).wholeMebibytes == 3)
        #expect(ByteCount.gibibytes(.max).bytes == .max)
        #expect(ByteCount.mebibytes(1) < ByteCount.gibibytes(1))
    }
}
