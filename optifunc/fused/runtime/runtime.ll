; runtime.c b0647b78789e8cefb1394ca41da70f93bb2a2b61be8e70233841ca961763bbab, XLA FFI 0.3

%struct.XLA_FFI_CallFrame = type { i64, ptr, ptr, ptr, i32, %struct.XLA_FFI_Args, %struct.XLA_FFI_Rets, %struct.XLA_FFI_Attrs, ptr }
%struct.XLA_FFI_Args = type { i64, ptr, i64, ptr, ptr }
%struct.XLA_FFI_Rets = type { i64, ptr, i64, ptr, ptr }
%struct.XLA_FFI_Attrs = type { i64, ptr, i64, ptr, ptr, ptr }
%struct.XLA_FFI_Extension_Base = type { i64, i32, ptr }
%struct.XLA_FFI_Metadata_Extension = type { %struct.XLA_FFI_Extension_Base, ptr }
%struct.XLA_FFI_Metadata = type { i64, %struct.XLA_FFI_Api_Version, i32, %struct.XLA_FFI_TypeId }
%struct.XLA_FFI_Api_Version = type { i64, ptr, i32, i32 }
%struct.XLA_FFI_TypeId = type { i64 }
%struct.XLA_FFI_Array = type { i32, i64, ptr }
%struct.Work = type { ptr, ptr, i64, i64, i64, i64, ptr, ptr, i64, i64, i64 }
%struct.XLA_FFI_Error_Create_Args = type { i64, ptr, ptr, i32 }
%struct.XLA_FFI_Api = type { i64, ptr, %struct.XLA_FFI_Api_Version, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr }
%struct.XLA_FFI_ThreadPool_NumThreads_Args = type { i64, ptr, ptr, ptr }
%struct.XLA_FFI_Buffer = type { i64, ptr, i32, ptr, i64, ptr }
%struct.XLA_FFI_ThreadPool_Schedule_Args = type { i64, ptr, ptr, ptr, ptr }
%struct.XLA_FFI_Error_Destroy_Args = type { i64, ptr, ptr }

@.str = private unnamed_addr constant [54 x i8] c"optifunc: a fused call needs one attribute, its table\00", align 1
@.str.1 = private unnamed_addr constant [24 x i8] c"optifunc: out of memory\00", align 1

; Function Attrs: nounwind uwtable
define ptr @optifunc_run(ptr noundef %0, ptr noundef %1, i64 noundef %2, i64 noundef %3) #0 {
  %5 = alloca ptr, align 8
  %6 = alloca ptr, align 8
  %7 = alloca ptr, align 8
  %8 = alloca i64, align 8
  %9 = alloca i64, align 8
  %10 = alloca ptr, align 8
  %11 = alloca ptr, align 8
  %12 = alloca ptr, align 8
  %13 = alloca ptr, align 8
  %14 = alloca i64, align 8
  %15 = alloca i64, align 8
  %16 = alloca i64, align 8
  %17 = alloca ptr, align 8
  %18 = alloca i64, align 8
  %19 = alloca i64, align 8
  %20 = alloca i64, align 8
  %21 = alloca ptr, align 8
  %22 = alloca i64, align 8
  %23 = alloca i64, align 8
  %24 = alloca i64, align 8
  %25 = alloca i64, align 8
  %26 = alloca i64, align 8
  store ptr %0, ptr %6, align 8
  store ptr %1, ptr %7, align 8
  store i64 %2, ptr %8, align 8
  store i64 %3, ptr %9, align 8
  %27 = load ptr, ptr %6, align 8
  %28 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %27, i32 0, i32 1
  %29 = load ptr, ptr %28, align 8
  store ptr %29, ptr %10, align 8
  %30 = load ptr, ptr %10, align 8
  %31 = icmp ne ptr %30, null
  br i1 %31, label %32, label %49

32:                                               ; preds = %4
  %33 = load ptr, ptr %10, align 8
  %34 = getelementptr inbounds %struct.XLA_FFI_Extension_Base, ptr %33, i32 0, i32 1
  %35 = load i32, ptr %34, align 8
  %36 = icmp eq i32 %35, 1
  br i1 %36, label %37, label %49

37:                                               ; preds = %32
  %38 = load ptr, ptr %10, align 8
  %39 = getelementptr inbounds %struct.XLA_FFI_Metadata_Extension, ptr %38, i32 0, i32 1
  %40 = load ptr, ptr %39, align 8
  store ptr %40, ptr %11, align 8
  %41 = load ptr, ptr %11, align 8
  %42 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %41, i32 0, i32 1
  %43 = getelementptr inbounds %struct.XLA_FFI_Api_Version, ptr %42, i32 0, i32 2
  store i32 0, ptr %43, align 8
  %44 = load ptr, ptr %11, align 8
  %45 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %44, i32 0, i32 1
  %46 = getelementptr inbounds %struct.XLA_FFI_Api_Version, ptr %45, i32 0, i32 3
  store i32 3, ptr %46, align 4
  %47 = load ptr, ptr %11, align 8
  %48 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %47, i32 0, i32 2
  store i32 0, ptr %48, align 8
  store ptr null, ptr %5, align 8
  br label %298

49:                                               ; preds = %32, %4
  %50 = load ptr, ptr %6, align 8
  %51 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %50, i32 0, i32 7
  %52 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %51, i32 0, i32 2
  %53 = load i64, ptr %52, align 8
  %54 = icmp ne i64 %53, 1
  br i1 %54, label %63, label %55

55:                                               ; preds = %49
  %56 = load ptr, ptr %6, align 8
  %57 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %56, i32 0, i32 7
  %58 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %57, i32 0, i32 3
  %59 = load ptr, ptr %58, align 8
  %60 = getelementptr inbounds i32, ptr %59, i64 0
  %61 = load i32, ptr %60, align 4
  %62 = icmp ne i32 %61, 1
  br i1 %62, label %63, label %66

63:                                               ; preds = %55, %49
  %64 = load ptr, ptr %6, align 8
  %65 = call ptr @failure(ptr noundef %64, ptr noundef @.str) #3
  store ptr %65, ptr %5, align 8
  br label %298

66:                                               ; preds = %55
  %67 = load ptr, ptr %6, align 8
  %68 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %67, i32 0, i32 7
  %69 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %68, i32 0, i32 5
  %70 = load ptr, ptr %69, align 8
  %71 = getelementptr inbounds ptr, ptr %70, i64 0
  %72 = load ptr, ptr %71, align 8
  store ptr %72, ptr %12, align 8
  %73 = load ptr, ptr %12, align 8
  %74 = getelementptr inbounds %struct.XLA_FFI_Array, ptr %73, i32 0, i32 2
  %75 = load ptr, ptr %74, align 8
  store ptr %75, ptr %13, align 8
  %76 = load ptr, ptr %12, align 8
  %77 = getelementptr inbounds %struct.XLA_FFI_Array, ptr %76, i32 0, i32 1
  %78 = load i64, ptr %77, align 8
  %79 = load i64, ptr %8, align 8
  %80 = call i64 @row_length(i64 noundef %79) #3
  %81 = udiv i64 %78, %80
  store i64 %81, ptr %14, align 8
  store i64 0, ptr %15, align 8
  store i64 0, ptr %16, align 8
  br label %82

82:                                               ; preds = %96, %66
  %83 = load i64, ptr %16, align 8
  %84 = load i64, ptr %14, align 8
  %85 = icmp slt i64 %83, %84
  br i1 %85, label %86, label %99

86:                                               ; preds = %82
  %87 = load ptr, ptr %13, align 8
  %88 = load i64, ptr %16, align 8
  %89 = load i64, ptr %8, align 8
  %90 = call i64 @row_length(i64 noundef %89) #3
  %91 = mul nsw i64 %88, %90
  %92 = getelementptr inbounds i64, ptr %87, i64 %91
  %93 = load i64, ptr %92, align 8
  %94 = load i64, ptr %15, align 8
  %95 = add nsw i64 %94, %93
  store i64 %95, ptr %15, align 8
  br label %96

96:                                               ; preds = %86
  %97 = load i64, ptr %16, align 8
  %98 = add nsw i64 %97, 1
  store i64 %98, ptr %16, align 8
  br label %82, !llvm.loop !6

99:                                               ; preds = %82
  %100 = load i64, ptr %14, align 8
  %101 = load i64, ptr %8, align 8
  %102 = mul nsw i64 %100, %101
  %103 = mul i64 %102, 8
  %104 = add i64 88, %103
  %105 = load i64, ptr %14, align 8
  %106 = add nsw i64 %105, 1
  %107 = mul i64 %106, 8
  %108 = add i64 %104, %107
  %109 = call ptr @malloc(i64 noundef %108) #3
  store ptr %109, ptr %17, align 8
  %110 = load ptr, ptr %17, align 8
  %111 = icmp eq ptr %110, null
  br i1 %111, label %112, label %115

112:                                              ; preds = %99
  %113 = load ptr, ptr %6, align 8
  %114 = call ptr @failure(ptr noundef %113, ptr noundef @.str.1) #3
  store ptr %114, ptr %5, align 8
  br label %298

115:                                              ; preds = %99
  %116 = load ptr, ptr %7, align 8
  %117 = load ptr, ptr %17, align 8
  %118 = getelementptr inbounds %struct.Work, ptr %117, i32 0, i32 0
  store ptr %116, ptr %118, align 8
  %119 = load ptr, ptr %13, align 8
  %120 = load ptr, ptr %17, align 8
  %121 = getelementptr inbounds %struct.Work, ptr %120, i32 0, i32 1
  store ptr %119, ptr %121, align 8
  %122 = load i64, ptr %14, align 8
  %123 = load ptr, ptr %17, align 8
  %124 = getelementptr inbounds %struct.Work, ptr %123, i32 0, i32 2
  store i64 %122, ptr %124, align 8
  %125 = load i64, ptr %8, align 8
  %126 = load ptr, ptr %17, align 8
  %127 = getelementptr inbounds %struct.Work, ptr %126, i32 0, i32 3
  store i64 %125, ptr %127, align 8
  %128 = load ptr, ptr %17, align 8
  %129 = getelementptr inbounds %struct.Work, ptr %128, i64 1
  %130 = load ptr, ptr %17, align 8
  %131 = getelementptr inbounds %struct.Work, ptr %130, i32 0, i32 6
  store ptr %129, ptr %131, align 8
  %132 = load ptr, ptr %17, align 8
  %133 = getelementptr inbounds %struct.Work, ptr %132, i32 0, i32 6
  %134 = load ptr, ptr %133, align 8
  %135 = load i64, ptr %14, align 8
  %136 = load i64, ptr %8, align 8
  %137 = mul nsw i64 %135, %136
  %138 = getelementptr inbounds ptr, ptr %134, i64 %137
  %139 = load ptr, ptr %17, align 8
  %140 = getelementptr inbounds %struct.Work, ptr %139, i32 0, i32 7
  store ptr %138, ptr %140, align 8
  %141 = load ptr, ptr %17, align 8
  %142 = getelementptr inbounds %struct.Work, ptr %141, i32 0, i32 9
  store i64 0, ptr %142, align 8
  %143 = load ptr, ptr %17, align 8
  %144 = getelementptr inbounds %struct.Work, ptr %143, i32 0, i32 8
  store i64 0, ptr %144, align 8
  %145 = load ptr, ptr %17, align 8
  %146 = getelementptr inbounds %struct.Work, ptr %145, i32 0, i32 10
  store i64 1, ptr %146, align 8
  %147 = load ptr, ptr %6, align 8
  %148 = call i64 @thread_count(ptr noundef %147) #3
  store i64 %148, ptr %18, align 8
  %149 = load i64, ptr %15, align 8
  %150 = load i64, ptr %18, align 8
  %151 = mul nsw i64 %150, 8
  %152 = sdiv i64 %149, %151
  %153 = sdiv i64 %152, 1024
  %154 = mul nsw i64 %153, 1024
  store i64 %154, ptr %19, align 8
  %155 = load i64, ptr %19, align 8
  %156 = icmp slt i64 %155, 16384
  br i1 %156, label %157, label %158

157:                                              ; preds = %115
  store i64 16384, ptr %19, align 8
  br label %158

158:                                              ; preds = %157, %115
  %159 = load i64, ptr %19, align 8
  %160 = load i64, ptr %9, align 8
  %161 = add nsw i64 %159, %160
  %162 = sub nsw i64 %161, 1
  %163 = load i64, ptr %9, align 8
  %164 = sdiv i64 %162, %163
  %165 = load i64, ptr %9, align 8
  %166 = mul nsw i64 %164, %165
  %167 = load ptr, ptr %17, align 8
  %168 = getelementptr inbounds %struct.Work, ptr %167, i32 0, i32 4
  store i64 %166, ptr %168, align 8
  %169 = load ptr, ptr %17, align 8
  %170 = getelementptr inbounds %struct.Work, ptr %169, i32 0, i32 5
  store i64 0, ptr %170, align 8
  store i64 0, ptr %20, align 8
  br label %171

171:                                              ; preds = %239, %158
  %172 = load i64, ptr %20, align 8
  %173 = load i64, ptr %14, align 8
  %174 = icmp slt i64 %172, %173
  br i1 %174, label %175, label %242

175:                                              ; preds = %171
  %176 = load ptr, ptr %13, align 8
  %177 = load i64, ptr %20, align 8
  %178 = load i64, ptr %8, align 8
  %179 = call i64 @row_length(i64 noundef %178) #3
  %180 = mul nsw i64 %177, %179
  %181 = getelementptr inbounds i64, ptr %176, i64 %180
  store ptr %181, ptr %21, align 8
  %182 = load ptr, ptr %17, align 8
  %183 = getelementptr inbounds %struct.Work, ptr %182, i32 0, i32 5
  %184 = load i64, ptr %183, align 8
  %185 = load ptr, ptr %17, align 8
  %186 = getelementptr inbounds %struct.Work, ptr %185, i32 0, i32 7
  %187 = load ptr, ptr %186, align 8
  %188 = load i64, ptr %20, align 8
  %189 = getelementptr inbounds i64, ptr %187, i64 %188
  store i64 %184, ptr %189, align 8
  %190 = load ptr, ptr %21, align 8
  %191 = getelementptr inbounds i64, ptr %190, i64 0
  %192 = load i64, ptr %191, align 8
  %193 = load ptr, ptr %17, align 8
  %194 = getelementptr inbounds %struct.Work, ptr %193, i32 0, i32 4
  %195 = load i64, ptr %194, align 8
  %196 = add nsw i64 %192, %195
  %197 = sub nsw i64 %196, 1
  %198 = load ptr, ptr %17, align 8
  %199 = getelementptr inbounds %struct.Work, ptr %198, i32 0, i32 4
  %200 = load i64, ptr %199, align 8
  %201 = sdiv i64 %197, %200
  %202 = load ptr, ptr %17, align 8
  %203 = getelementptr inbounds %struct.Work, ptr %202, i32 0, i32 5
  %204 = load i64, ptr %203, align 8
  %205 = add nsw i64 %204, %201
  store i64 %205, ptr %203, align 8
  store i64 0, ptr %22, align 8
  br label %206

206:                                              ; preds = %235, %175
  %207 = load i64, ptr %22, align 8
  %208 = load i64, ptr %8, align 8
  %209 = icmp slt i64 %207, %208
  br i1 %209, label %210, label %238

210:                                              ; preds = %206
  %211 = load ptr, ptr %6, align 8
  %212 = load ptr, ptr %21, align 8
  %213 = load i64, ptr %22, align 8
  %214 = mul nsw i64 2, %213
  %215 = add nsw i64 1, %214
  %216 = getelementptr inbounds i64, ptr %212, i64 %215
  %217 = load i64, ptr %216, align 8
  %218 = call ptr @buffer(ptr noundef %211, i64 noundef %217) #3
  %219 = load ptr, ptr %21, align 8
  %220 = load i64, ptr %22, align 8
  %221 = mul nsw i64 2, %220
  %222 = add nsw i64 2, %221
  %223 = getelementptr inbounds i64, ptr %219, i64 %222
  %224 = load i64, ptr %223, align 8
  %225 = getelementptr inbounds i8, ptr %218, i64 %224
  %226 = load ptr, ptr %17, align 8
  %227 = getelementptr inbounds %struct.Work, ptr %226, i32 0, i32 6
  %228 = load ptr, ptr %227, align 8
  %229 = load i64, ptr %20, align 8
  %230 = load i64, ptr %8, align 8
  %231 = mul nsw i64 %229, %230
  %232 = load i64, ptr %22, align 8
  %233 = add nsw i64 %231, %232
  %234 = getelementptr inbounds ptr, ptr %228, i64 %233
  store ptr %225, ptr %234, align 8
  br label %235

235:                                              ; preds = %210
  %236 = load i64, ptr %22, align 8
  %237 = add nsw i64 %236, 1
  store i64 %237, ptr %22, align 8
  br label %206, !llvm.loop !8

238:                                              ; preds = %206
  br label %239

239:                                              ; preds = %238
  %240 = load i64, ptr %20, align 8
  %241 = add nsw i64 %240, 1
  store i64 %241, ptr %20, align 8
  br label %171, !llvm.loop !9

242:                                              ; preds = %171
  %243 = load ptr, ptr %17, align 8
  %244 = getelementptr inbounds %struct.Work, ptr %243, i32 0, i32 5
  %245 = load i64, ptr %244, align 8
  %246 = load ptr, ptr %17, align 8
  %247 = getelementptr inbounds %struct.Work, ptr %246, i32 0, i32 7
  %248 = load ptr, ptr %247, align 8
  %249 = load i64, ptr %14, align 8
  %250 = getelementptr inbounds i64, ptr %248, i64 %249
  store i64 %245, ptr %250, align 8
  %251 = load i64, ptr %15, align 8
  %252 = sdiv i64 %251, 16384
  store i64 %252, ptr %23, align 8
  %253 = load i64, ptr %18, align 8
  %254 = load i64, ptr %23, align 8
  %255 = icmp slt i64 %253, %254
  br i1 %255, label %256, label %258

256:                                              ; preds = %242
  %257 = load i64, ptr %18, align 8
  br label %260

258:                                              ; preds = %242
  %259 = load i64, ptr %23, align 8
  br label %260

260:                                              ; preds = %258, %256
  %261 = phi i64 [ %257, %256 ], [ %259, %258 ]
  store i64 %261, ptr %24, align 8
  %262 = load ptr, ptr %6, align 8
  %263 = load ptr, ptr %17, align 8
  %264 = load i64, ptr %24, align 8
  %265 = load ptr, ptr %17, align 8
  %266 = getelementptr inbounds %struct.Work, ptr %265, i32 0, i32 5
  %267 = load i64, ptr %266, align 8
  %268 = icmp slt i64 %264, %267
  br i1 %268, label %269, label %272

269:                                              ; preds = %260
  %270 = load i64, ptr %24, align 8
  %271 = sub nsw i64 %270, 1
  br label %277

272:                                              ; preds = %260
  %273 = load ptr, ptr %17, align 8
  %274 = getelementptr inbounds %struct.Work, ptr %273, i32 0, i32 5
  %275 = load i64, ptr %274, align 8
  %276 = sub nsw i64 %275, 1
  br label %277

277:                                              ; preds = %272, %269
  %278 = phi i64 [ %271, %269 ], [ %276, %272 ]
  call void @call_helpers(ptr noundef %262, ptr noundef %263, i64 noundef %278) #3
  %279 = load ptr, ptr %17, align 8
  call void @take_blocks(ptr noundef %279) #3
  store i64 0, ptr %25, align 8
  br label %280

280:                                              ; preds = %295, %277
  %281 = load ptr, ptr %17, align 8
  %282 = getelementptr inbounds %struct.Work, ptr %281, i32 0, i32 9
  %283 = load atomic i64, ptr %282 acquire, align 8
  store i64 %283, ptr %26, align 8
  %284 = load i64, ptr %26, align 8
  %285 = load ptr, ptr %17, align 8
  %286 = getelementptr inbounds %struct.Work, ptr %285, i32 0, i32 5
  %287 = load i64, ptr %286, align 8
  %288 = icmp slt i64 %284, %287
  br i1 %288, label %289, label %296

289:                                              ; preds = %280
  %290 = load i64, ptr %25, align 8
  %291 = add nsw i64 %290, 1
  store i64 %291, ptr %25, align 8
  %292 = icmp sgt i64 %291, 1000
  br i1 %292, label %293, label %295

293:                                              ; preds = %289
  %294 = call i32 @sched_yield() #3
  br label %295

295:                                              ; preds = %293, %289
  br label %280, !llvm.loop !10

296:                                              ; preds = %280
  %297 = load ptr, ptr %17, align 8
  call void @drop(ptr noundef %297) #3
  store ptr null, ptr %5, align 8
  br label %298

298:                                              ; preds = %296, %112, %63, %37
  %299 = load ptr, ptr %5, align 8
  ret ptr %299
}

; Function Attrs: nounwind uwtable
define internal ptr @failure(ptr noundef %0, ptr noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca ptr, align 8
  %5 = alloca %struct.XLA_FFI_Error_Create_Args, align 8
  store ptr %0, ptr %3, align 8
  store ptr %1, ptr %4, align 8
  %6 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 0
  store i64 28, ptr %6, align 8
  %7 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 1
  store ptr null, ptr %7, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 2
  %9 = load ptr, ptr %4, align 8
  store ptr %9, ptr %8, align 8
  %10 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 3
  store i32 13, ptr %10, align 8
  %11 = getelementptr i8, ptr %5, i64 28
  call void @llvm.memset.p0.i64(ptr align 4 %11, i8 0, i64 4, i1 false)
  %12 = load ptr, ptr %3, align 8
  %13 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %12, i32 0, i32 2
  %14 = load ptr, ptr %13, align 8
  %15 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %14, i32 0, i32 4
  %16 = load ptr, ptr %15, align 8
  %17 = call ptr %16(ptr noundef %5) #3
  ret ptr %17
}

; Function Attrs: nounwind uwtable
define internal i64 @row_length(i64 noundef %0) #0 {
  %2 = alloca i64, align 8
  store i64 %0, ptr %2, align 8
  %3 = load i64, ptr %2, align 8
  %4 = mul nsw i64 2, %3
  %5 = add nsw i64 1, %4
  ret i64 %5
}

declare ptr @malloc(i64 noundef) #1

; Function Attrs: nounwind uwtable
define internal i64 @thread_count(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca %struct.XLA_FFI_ThreadPool_NumThreads_Args, align 8
  %5 = alloca i32, align 4
  store ptr %0, ptr %2, align 8
  store i64 1, ptr %3, align 8
  %6 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 0
  store i64 32, ptr %6, align 8
  %7 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 1
  store ptr null, ptr %7, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 2
  %9 = load ptr, ptr %2, align 8
  %10 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %9, i32 0, i32 3
  %11 = load ptr, ptr %10, align 8
  store ptr %11, ptr %8, align 8
  %12 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 3
  store ptr %3, ptr %12, align 8
  %13 = load ptr, ptr %2, align 8
  %14 = load ptr, ptr %2, align 8
  %15 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %14, i32 0, i32 2
  %16 = load ptr, ptr %15, align 8
  %17 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %16, i32 0, i32 16
  %18 = load ptr, ptr %17, align 8
  %19 = call ptr %18(ptr noundef %4) #3
  %20 = call i32 @succeeded(ptr noundef %13, ptr noundef %19) #3
  store i32 %20, ptr %5, align 4
  %21 = load i32, ptr %5, align 4
  %22 = icmp ne i32 %21, 0
  br i1 %22, label %23, label %28

23:                                               ; preds = %1
  %24 = load i64, ptr %3, align 8
  %25 = icmp sgt i64 %24, 1
  br i1 %25, label %26, label %28

26:                                               ; preds = %23
  %27 = load i64, ptr %3, align 8
  br label %29

28:                                               ; preds = %23, %1
  br label %29

29:                                               ; preds = %28, %26
  %30 = phi i64 [ %27, %26 ], [ 1, %28 ]
  ret i64 %30
}

; Function Attrs: nounwind uwtable
define internal ptr @buffer(ptr noundef %0, i64 noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca ptr, align 8
  store ptr %0, ptr %3, align 8
  store i64 %1, ptr %4, align 8
  %7 = load ptr, ptr %3, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %7, i32 0, i32 5
  %9 = getelementptr inbounds %struct.XLA_FFI_Args, ptr %8, i32 0, i32 2
  %10 = load i64, ptr %9, align 8
  store i64 %10, ptr %5, align 8
  %11 = load i64, ptr %4, align 8
  %12 = load i64, ptr %5, align 8
  %13 = icmp slt i64 %11, %12
  br i1 %13, label %14, label %22

14:                                               ; preds = %2
  %15 = load ptr, ptr %3, align 8
  %16 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %15, i32 0, i32 5
  %17 = getelementptr inbounds %struct.XLA_FFI_Args, ptr %16, i32 0, i32 4
  %18 = load ptr, ptr %17, align 8
  %19 = load i64, ptr %4, align 8
  %20 = getelementptr inbounds ptr, ptr %18, i64 %19
  %21 = load ptr, ptr %20, align 8
  br label %32

22:                                               ; preds = %2
  %23 = load ptr, ptr %3, align 8
  %24 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %23, i32 0, i32 6
  %25 = getelementptr inbounds %struct.XLA_FFI_Rets, ptr %24, i32 0, i32 4
  %26 = load ptr, ptr %25, align 8
  %27 = load i64, ptr %4, align 8
  %28 = load i64, ptr %5, align 8
  %29 = sub nsw i64 %27, %28
  %30 = getelementptr inbounds ptr, ptr %26, i64 %29
  %31 = load ptr, ptr %30, align 8
  br label %32

32:                                               ; preds = %22, %14
  %33 = phi ptr [ %21, %14 ], [ %31, %22 ]
  store ptr %33, ptr %6, align 8
  %34 = load ptr, ptr %6, align 8
  %35 = getelementptr inbounds %struct.XLA_FFI_Buffer, ptr %34, i32 0, i32 3
  %36 = load ptr, ptr %35, align 8
  ret ptr %36
}

; Function Attrs: nounwind uwtable
define internal void @call_helpers(ptr noundef %0, ptr noundef %1, i64 noundef %2) #0 {
  %4 = alloca ptr, align 8
  %5 = alloca ptr, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  %8 = alloca i64, align 8
  %9 = alloca i64, align 8
  %10 = alloca %struct.XLA_FFI_ThreadPool_Schedule_Args, align 8
  store ptr %0, ptr %4, align 8
  store ptr %1, ptr %5, align 8
  store i64 %2, ptr %6, align 8
  store i64 0, ptr %7, align 8
  br label %11

11:                                               ; preds = %43, %3
  %12 = load i64, ptr %7, align 8
  %13 = load i64, ptr %6, align 8
  %14 = icmp slt i64 %12, %13
  br i1 %14, label %15, label %46

15:                                               ; preds = %11
  %16 = load ptr, ptr %5, align 8
  %17 = getelementptr inbounds %struct.Work, ptr %16, i32 0, i32 10
  store i64 1, ptr %8, align 8
  %18 = load i64, ptr %8, align 8
  %19 = atomicrmw add ptr %17, i64 %18 monotonic, align 8
  %20 = add i64 %19, %18
  store i64 %20, ptr %9, align 8
  %21 = load i64, ptr %9, align 8
  %22 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 0
  store i64 40, ptr %22, align 8
  %23 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 1
  store ptr null, ptr %23, align 8
  %24 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 2
  %25 = load ptr, ptr %4, align 8
  %26 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %25, i32 0, i32 3
  %27 = load ptr, ptr %26, align 8
  store ptr %27, ptr %24, align 8
  %28 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 3
  store ptr @help, ptr %28, align 8
  %29 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 4
  %30 = load ptr, ptr %5, align 8
  store ptr %30, ptr %29, align 8
  %31 = load ptr, ptr %4, align 8
  %32 = load ptr, ptr %4, align 8
  %33 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %32, i32 0, i32 2
  %34 = load ptr, ptr %33, align 8
  %35 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %34, i32 0, i32 15
  %36 = load ptr, ptr %35, align 8
  %37 = call ptr %36(ptr noundef %10) #3
  %38 = call i32 @succeeded(ptr noundef %31, ptr noundef %37) #3
  %39 = icmp ne i32 %38, 0
  br i1 %39, label %42, label %40

40:                                               ; preds = %15
  %41 = load ptr, ptr %5, align 8
  call void @drop(ptr noundef %41) #3
  br label %46

42:                                               ; preds = %15
  br label %43

43:                                               ; preds = %42
  %44 = load i64, ptr %7, align 8
  %45 = add nsw i64 %44, 1
  store i64 %45, ptr %7, align 8
  br label %11, !llvm.loop !11

46:                                               ; preds = %40, %11
  ret void
}

; Function Attrs: nounwind uwtable
define internal void @take_blocks(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  store ptr %0, ptr %2, align 8
  br label %8

8:                                                ; preds = %20, %1
  %9 = load ptr, ptr %2, align 8
  %10 = getelementptr inbounds %struct.Work, ptr %9, i32 0, i32 8
  store i64 1, ptr %4, align 8
  %11 = load i64, ptr %4, align 8
  %12 = atomicrmw add ptr %10, i64 %11 monotonic, align 8
  store i64 %12, ptr %5, align 8
  %13 = load i64, ptr %5, align 8
  store i64 %13, ptr %3, align 8
  %14 = load i64, ptr %3, align 8
  %15 = load ptr, ptr %2, align 8
  %16 = getelementptr inbounds %struct.Work, ptr %15, i32 0, i32 5
  %17 = load i64, ptr %16, align 8
  %18 = icmp sge i64 %14, %17
  br i1 %18, label %19, label %20

19:                                               ; preds = %8
  ret void

20:                                               ; preds = %8
  %21 = load ptr, ptr %2, align 8
  %22 = load i64, ptr %3, align 8
  call void @run_block(ptr noundef %21, i64 noundef %22) #3
  %23 = load ptr, ptr %2, align 8
  %24 = getelementptr inbounds %struct.Work, ptr %23, i32 0, i32 9
  store i64 1, ptr %6, align 8
  %25 = load i64, ptr %6, align 8
  %26 = atomicrmw add ptr %24, i64 %25 release, align 8
  store i64 %26, ptr %7, align 8
  %27 = load i64, ptr %7, align 8
  br label %8
}

declare i32 @sched_yield() #1

; Function Attrs: nounwind uwtable
define internal void @drop(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca i64, align 8
  store ptr %0, ptr %2, align 8
  %5 = load ptr, ptr %2, align 8
  %6 = getelementptr inbounds %struct.Work, ptr %5, i32 0, i32 10
  store i64 1, ptr %3, align 8
  %7 = load i64, ptr %3, align 8
  %8 = atomicrmw sub ptr %6, i64 %7 acq_rel, align 8
  %9 = sub i64 %8, %7
  store i64 %9, ptr %4, align 8
  %10 = load i64, ptr %4, align 8
  %11 = icmp eq i64 %10, 0
  br i1 %11, label %12, label %14

12:                                               ; preds = %1
  %13 = load ptr, ptr %2, align 8
  call void @free(ptr noundef %13) #3
  br label %14

14:                                               ; preds = %12, %1
  ret void
}

; Function Attrs: nocallback nofree nounwind willreturn memory(argmem: write)
declare void @llvm.memset.p0.i64(ptr writeonly captures(none), i8, i64, i1 immarg) #2

; Function Attrs: nounwind uwtable
define internal i32 @succeeded(ptr noundef %0, ptr noundef %1) #0 {
  %3 = alloca i32, align 4
  %4 = alloca ptr, align 8
  %5 = alloca ptr, align 8
  %6 = alloca %struct.XLA_FFI_Error_Destroy_Args, align 8
  store ptr %0, ptr %4, align 8
  store ptr %1, ptr %5, align 8
  %7 = load ptr, ptr %5, align 8
  %8 = icmp eq ptr %7, null
  br i1 %8, label %9, label %10

9:                                                ; preds = %2
  store i32 1, ptr %3, align 4
  br label %20

10:                                               ; preds = %2
  %11 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 0
  store i64 24, ptr %11, align 8
  %12 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 1
  store ptr null, ptr %12, align 8
  %13 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 2
  %14 = load ptr, ptr %5, align 8
  store ptr %14, ptr %13, align 8
  %15 = load ptr, ptr %4, align 8
  %16 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %15, i32 0, i32 2
  %17 = load ptr, ptr %16, align 8
  %18 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %17, i32 0, i32 6
  %19 = load ptr, ptr %18, align 8
  call void %19(ptr noundef %6) #3
  store i32 0, ptr %3, align 4
  br label %20

20:                                               ; preds = %10, %9
  %21 = load i32, ptr %3, align 4
  ret i32 %21
}

; Function Attrs: nounwind uwtable
define internal void @help(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  store ptr %0, ptr %2, align 8
  %3 = load ptr, ptr %2, align 8
  call void @take_blocks(ptr noundef %3) #3
  %4 = load ptr, ptr %2, align 8
  call void @drop(ptr noundef %4) #3
  ret void
}

; Function Attrs: nounwind uwtable
define internal void @run_block(ptr noundef %0, i64 noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  %8 = alloca i64, align 8
  %9 = alloca i64, align 8
  %10 = alloca i64, align 8
  store ptr %0, ptr %3, align 8
  store i64 %1, ptr %4, align 8
  store i64 0, ptr %5, align 8
  %11 = load ptr, ptr %3, align 8
  %12 = getelementptr inbounds %struct.Work, ptr %11, i32 0, i32 2
  %13 = load i64, ptr %12, align 8
  %14 = sub nsw i64 %13, 1
  store i64 %14, ptr %6, align 8
  br label %15

15:                                               ; preds = %38, %2
  %16 = load i64, ptr %5, align 8
  %17 = load i64, ptr %6, align 8
  %18 = icmp slt i64 %16, %17
  br i1 %18, label %19, label %39

19:                                               ; preds = %15
  %20 = load i64, ptr %5, align 8
  %21 = load i64, ptr %6, align 8
  %22 = add nsw i64 %20, %21
  %23 = add nsw i64 %22, 1
  %24 = sdiv i64 %23, 2
  store i64 %24, ptr %7, align 8
  %25 = load ptr, ptr %3, align 8
  %26 = getelementptr inbounds %struct.Work, ptr %25, i32 0, i32 7
  %27 = load ptr, ptr %26, align 8
  %28 = load i64, ptr %7, align 8
  %29 = getelementptr inbounds i64, ptr %27, i64 %28
  %30 = load i64, ptr %29, align 8
  %31 = load i64, ptr %4, align 8
  %32 = icmp sle i64 %30, %31
  br i1 %32, label %33, label %35

33:                                               ; preds = %19
  %34 = load i64, ptr %7, align 8
  store i64 %34, ptr %5, align 8
  br label %38

35:                                               ; preds = %19
  %36 = load i64, ptr %7, align 8
  %37 = sub nsw i64 %36, 1
  store i64 %37, ptr %6, align 8
  br label %38

38:                                               ; preds = %35, %33
  br label %15, !llvm.loop !12

39:                                               ; preds = %15
  %40 = load ptr, ptr %3, align 8
  %41 = getelementptr inbounds %struct.Work, ptr %40, i32 0, i32 1
  %42 = load ptr, ptr %41, align 8
  %43 = load i64, ptr %5, align 8
  %44 = load ptr, ptr %3, align 8
  %45 = getelementptr inbounds %struct.Work, ptr %44, i32 0, i32 3
  %46 = load i64, ptr %45, align 8
  %47 = call i64 @row_length(i64 noundef %46) #3
  %48 = mul nsw i64 %43, %47
  %49 = getelementptr inbounds i64, ptr %42, i64 %48
  %50 = load i64, ptr %49, align 8
  store i64 %50, ptr %8, align 8
  %51 = load i64, ptr %4, align 8
  %52 = load ptr, ptr %3, align 8
  %53 = getelementptr inbounds %struct.Work, ptr %52, i32 0, i32 7
  %54 = load ptr, ptr %53, align 8
  %55 = load i64, ptr %5, align 8
  %56 = getelementptr inbounds i64, ptr %54, i64 %55
  %57 = load i64, ptr %56, align 8
  %58 = sub nsw i64 %51, %57
  %59 = load ptr, ptr %3, align 8
  %60 = getelementptr inbounds %struct.Work, ptr %59, i32 0, i32 4
  %61 = load i64, ptr %60, align 8
  %62 = mul nsw i64 %58, %61
  store i64 %62, ptr %9, align 8
  %63 = load i64, ptr %9, align 8
  %64 = load ptr, ptr %3, align 8
  %65 = getelementptr inbounds %struct.Work, ptr %64, i32 0, i32 4
  %66 = load i64, ptr %65, align 8
  %67 = add nsw i64 %63, %66
  %68 = load i64, ptr %8, align 8
  %69 = icmp slt i64 %67, %68
  br i1 %69, label %70, label %76

70:                                               ; preds = %39
  %71 = load i64, ptr %9, align 8
  %72 = load ptr, ptr %3, align 8
  %73 = getelementptr inbounds %struct.Work, ptr %72, i32 0, i32 4
  %74 = load i64, ptr %73, align 8
  %75 = add nsw i64 %71, %74
  br label %78

76:                                               ; preds = %39
  %77 = load i64, ptr %8, align 8
  br label %78

78:                                               ; preds = %76, %70
  %79 = phi i64 [ %75, %70 ], [ %77, %76 ]
  store i64 %79, ptr %10, align 8
  %80 = load ptr, ptr %3, align 8
  %81 = getelementptr inbounds %struct.Work, ptr %80, i32 0, i32 0
  %82 = load ptr, ptr %81, align 8
  %83 = load ptr, ptr %3, align 8
  %84 = getelementptr inbounds %struct.Work, ptr %83, i32 0, i32 6
  %85 = load ptr, ptr %84, align 8
  %86 = load i64, ptr %5, align 8
  %87 = load ptr, ptr %3, align 8
  %88 = getelementptr inbounds %struct.Work, ptr %87, i32 0, i32 3
  %89 = load i64, ptr %88, align 8
  %90 = mul nsw i64 %86, %89
  %91 = getelementptr inbounds ptr, ptr %85, i64 %90
  %92 = load i64, ptr %9, align 8
  %93 = load i64, ptr %10, align 8
  call void %82(ptr noundef %91, i64 noundef %92, i64 noundef %93) #3
  ret void
}

declare void @free(ptr noundef) #1

attributes #0 = { nounwind uwtable "min-legal-vector-width"="0" "no-builtins" "no-trapping-math"="true" "stack-protector-buffer-size"="8" }
attributes #1 = { "no-builtins" "no-trapping-math"="true" "stack-protector-buffer-size"="8" }
attributes #2 = { nocallback nofree nounwind willreturn memory(argmem: write) }
attributes #3 = { nobuiltin "no-builtins" }

!llvm.module.flags = !{!0, !1, !2, !3, !4}

!0 = !{i32 7, !"Dwarf Version", i32 4}
!1 = !{i32 1, !"wchar_size", i32 4}
!2 = !{i32 8, !"PIC Level", i32 2}
!3 = !{i32 7, !"uwtable", i32 2}
!4 = !{i32 7, !"frame-pointer", i32 2}
!5 = !{!"clang version 22.1.8"}
!6 = distinct !{!6, !7}
!7 = !{!"llvm.loop.mustprogress"}
!8 = distinct !{!8, !7}
!9 = distinct !{!9, !7}
!10 = distinct !{!10, !7}
!11 = distinct !{!11, !7}
!12 = distinct !{!12, !7}
